/**
 * Reads of the database, in two ways.
 *
 * `rows` and `first` use one read-only connection on the thread of the event loop that never waits, for single rows by
 * their key: each takes microseconds, and must be answered while everything else is busy. `list` and `rowsAside` use
 * threads of their own, for results that may be large.
 *
 * Reads take no permit of the writer. The database is in WAL mode, so a reader neither waits for a writer nor delays
 * one. Each call is one statement whose snapshot begins with it, so a read that begins after a write was answered sees
 * it, and no snapshot stays open while JavaScript does something else.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Deferred, Effect, type Either, FiberId, Layer, Option, ParseResult, Schema } from "effect"
import type { SqlValue } from "presence-effect/writer/Write"
import { type Dialect, sqlite } from "./Dialect.ts"
import * as ListAnswer from "./ListAnswer.ts"
import * as ReaderThread from "./ReaderThread.ts"
import { isDamage, ReadFailed, type ReadFailure, undecodable } from "./ReadFailure.ts"
import * as ReadPool from "./ReadPool.ts"
import type { ListReply, ListRequest, RowsRequest, StoredRow } from "./ReadRequest.ts"

export { isDamage, ReadFailed } from "./ReadFailure.ts"

export class DatabaseReader extends Context.Tag("light-server/DatabaseReader")<
  DatabaseReader,
  {
    /** The SQL of the database. Its readers and its writer take statements with `?` for parameters. */
    readonly dialect: Dialect
    /** All rows of one statement, each decoded by `schema`. For few and small rows. */
    readonly rows: <A, I>(
      schema: Schema.Schema<A, I>,
      sql: string,
      params?: ReadonlyArray<SqlValue>
    ) => Effect.Effect<ReadonlyArray<A>, ReadFailed>
    /** Never succeeds. Fails with the first read that found damage. */
    readonly untilDamaged: Effect.Effect<never, ReadFailed>
    /** The first row, if there is one. */
    readonly first: <A, I>(
      schema: Schema.Schema<A, I>,
      sql: string,
      params?: ReadonlyArray<SqlValue>
    ) => Effect.Effect<Option.Option<A>, ReadFailed>
    /** A list as JSON text, made in a thread. */
    readonly list: ReadPool.ReadPool["list"]
    /** The same as `rows`, for a statement that may be slow. */
    readonly rowsAside: <A, I>(
      readClass: ReadPool.ReadClass,
      schema: Schema.Schema<A, I>,
      sql: string,
      params: ReadonlyArray<SqlValue>
    ) => Effect.Effect<ReadonlyArray<A>, ReadFailure>
  }
>() {}

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : "SQLITE_ERROR"

const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Which column of which row, never its value: a detail is logged. */
const misfitOf = (error: ParseResult.ParseError): string => {
  const path = ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path ?? []
  return `what is stored at ${path.map(String).join("/")} (row/column) does not fit`
}

/** Compiling a decoder takes ten times as long as decoding a row, and the schema of a statement is a constant. */
const decoders = new WeakMap<object, (rows: unknown) => Either.Either<unknown, ParseResult.ParseError>>()

const decoderOf = <A, I>(schema: Schema.Schema<A, I>) => {
  const known = decoders.get(schema) ?? Schema.decodeUnknownEither(Schema.Array(schema))
  decoders.set(schema, known)
  return known as (rows: unknown) => Either.Either<ReadonlyArray<A>, ParseResult.ParseError>
}

/**
 * The query that runs one statement, undecoded. `fromQuery` builds on it, so
 * that tests can supply rows of their own.
 */
export type Query = (sql: string, params: ReadonlyArray<SqlValue>) => Effect.Effect<ReadonlyArray<unknown>, ReadFailed>

/** Reads in the calling thread, unless `pool` is given. */
export const fromQuery = (
  query: Query,
  pool: ReadPool.ReadPool = inThread(query),
  dialect: Dialect = sqlite
): DatabaseReader["Type"] => {
  const damaged = Deferred.unsafeMake<never, ReadFailed>(FiberId.none)
  const reportingDamage = <A, E extends ReadFailure>(read: Effect.Effect<A, E>) =>
    Effect.tapError(read, (failure) =>
      failure._tag === "ReadFailed" && isDamage(failure) ? Deferred.fail(damaged, failure) : Effect.void
    )
  const decoded =
    <A, I>(schema: Schema.Schema<A, I>) =>
    (found: ReadonlyArray<unknown>) =>
      Effect.mapError(
        decoderOf(schema)(found),
        (error) => new ReadFailed({ code: undecodable, detail: misfitOf(error) })
      )
  const rows = <A, I>(schema: Schema.Schema<A, I>, sql: string, params: ReadonlyArray<SqlValue> = []) =>
    Effect.flatMap(reportingDamage(query(sql, params)), decoded(schema))
  return DatabaseReader.of({
    dialect,
    rows,
    untilDamaged: Deferred.await(damaged),
    first: (schema, sql, params) => Effect.map(rows(schema, sql, params), (found) => Option.fromNullable(found[0])),
    list: (readClass, request) => reportingDamage(pool.list(readClass, request)),
    rowsAside: (readClass, schema, sql, params) =>
      Effect.flatMap(reportingDamage(pool.rows(readClass, { _tag: "Rows", sql, params })), decoded(schema))
  })
}

/** Does the work of the reader threads in this thread. */
const inThread = (query: Query): ReadPool.ReadPool => {
  const rowsOf = ({ params, sql }: ListRequest | RowsRequest) =>
    Effect.map(query(sql, params), (rows) => rows as ReadonlyArray<StoredRow>)
  return {
    list: (_, request): Effect.Effect<ListReply, ReadFailed> =>
      Effect.map(rowsOf(request), (rows) => ListAnswer.make(request, rows)),
    rows: (_, request) => rowsOf(request)
  }
}

const readFailed = (cause: unknown) => new ReadFailed({ code: codeOf(cause), detail: detailOf(cause) })

/** Which file is read, and by how many threads. */
export interface Options extends ReaderThread.Options {
  readonly pool?: ReadPool.Options
}

const open = (options: Options) =>
  Effect.gen(function* () {
    const { filename } = options
    // `readonly` cannot switch the journal mode; the writer has done that before this layer is built.
    const context = yield* Layer.build(SqliteClient.layer({ filename, readonly: true, disableWAL: true }))
    const client = Context.get(context, SqliteClient.SqliteClient)
    // The driver waits for locks inside the call, 5 s by default, and the event loop with it.
    yield* client.unsafe("PRAGMA busy_timeout = 0")
    const pool = yield* ReadPool.make(ReaderThread.spawn(options), options.pool)
    return fromQuery(
      (sql, params) =>
        client.unsafe(sql, params).pipe(Effect.mapError(({ cause, message }) => readFailed(cause ?? message))),
      pool
    )
  }).pipe(
    Effect.mapError((error) => readFailed("cause" in error ? (error.cause ?? error) : error)),
    // The client opens the file with a plain constructor, whose exception is a defect.
    Effect.catchAllDefect((defect) => Effect.fail(readFailed(defect)))
  )

/**
 * Opens `filename` for reading. The file must exist and be in WAL mode: build
 * this after the migration and the writer.
 */
export const layer = (options: Options): Layer.Layer<DatabaseReader, ReadFailed> =>
  Layer.scoped(DatabaseReader, open(options))
