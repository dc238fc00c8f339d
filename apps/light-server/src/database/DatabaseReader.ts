/**
 * Reads of the database: one read-only connection that never waits.
 *
 * Reads take no permit of the writer. The database is in WAL mode, so a reader
 * neither waits for a writer nor delays one, and each call is one statement, so
 * that no snapshot stays open while JavaScript does something else.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { Context, Deferred, Effect, FiberId, Layer, Option, ParseResult, Schema } from "effect"
import type { SqlValue } from "presence-effect/writer/Write"

const undecodable = "UNDECODABLE"

/** A damaged file, which no new process repairs: the server goes on reading. */
export const isDamage = ({ code }: { readonly code: string }): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(code)

/** A read did not answer, or its rows do not fit their schema. Nothing written. */
export class ReadFailed extends Schema.TaggedError<ReadFailed>("light-server/ReadFailed")("ReadFailed", {
  /** SQLite's extended result code, or `UNDECODABLE`. */
  code: Schema.String,
  detail: Schema.String
}) {
  get isRetryable(): boolean {
    return this.code !== undecodable && !isDamage(this)
  }
  readonly written = "nothing" as const
  override get message(): string {
    return `the database could not be read (${this.code}): ${this.detail}`
  }
}

export class DatabaseReader extends Context.Tag("light-server/DatabaseReader")<
  DatabaseReader,
  {
    /** All rows of one statement, each decoded by `schema`. Bound lists with a `LIMIT`. */
    readonly rows: <A, I>(
      schema: Schema.Schema<A, I>,
      sql: string,
      params?: ReadonlyArray<SqlValue>
    ) => Effect.Effect<ReadonlyArray<A>, ReadFailed>
    /** Never succeeds. Fails with the first read that met damage. */
    readonly untilDamaged: Effect.Effect<never, ReadFailed>
    /** The first row, if there is one. */
    readonly first: <A, I>(
      schema: Schema.Schema<A, I>,
      sql: string,
      params?: ReadonlyArray<SqlValue>
    ) => Effect.Effect<Option.Option<A>, ReadFailed>
  }
>() {}

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause && typeof cause.code === "string"
    ? cause.code
    : "SQLITE_ERROR"

const detailOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Which column of which row, and never what it holds: a detail is logged. */
const misfitOf = (error: ParseResult.ParseError): string => {
  const path = ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path ?? []
  return `what is stored at ${path.map(String).join("/")} (row/column) does not fit`
}

/**
 * The query that runs one statement, undecoded. What `fromQuery` builds on, so
 * that tests bring rows of their own.
 */
export type Query = (sql: string, params: ReadonlyArray<SqlValue>) => Effect.Effect<ReadonlyArray<unknown>, ReadFailed>

export const fromQuery = (query: Query): DatabaseReader["Type"] => {
  const damaged = Deferred.unsafeMake<never, ReadFailed>(FiberId.none)
  const rows = <A, I>(schema: Schema.Schema<A, I>, sql: string, params: ReadonlyArray<SqlValue> = []) =>
    query(sql, params).pipe(
      Effect.tapError((failure) => (isDamage(failure) ? Deferred.fail(damaged, failure) : Effect.void)),
      Effect.flatMap((found) =>
        Schema.decodeUnknown(Schema.Array(schema))(found).pipe(
          Effect.mapError((error) => new ReadFailed({ code: undecodable, detail: misfitOf(error) }))
        )
      )
    )
  return DatabaseReader.of({
    rows,
    untilDamaged: Deferred.await(damaged),
    first: (schema, sql, params) => Effect.map(rows(schema, sql, params), (found) => Option.fromNullable(found[0]))
  })
}

const readFailed = (cause: unknown) => new ReadFailed({ code: codeOf(cause), detail: detailOf(cause) })

const open = (filename: string) =>
  Effect.gen(function* () {
    // `readonly` cannot switch the journal mode; the writer has done that before this layer is built.
    const context = yield* Layer.build(SqliteClient.layer({ filename, readonly: true, disableWAL: true }))
    const client = Context.get(context, SqliteClient.SqliteClient)
    // The driver waits for locks inside the call, 5 s by default, and the event loop with it.
    yield* client.unsafe("PRAGMA busy_timeout = 0")
    return fromQuery((sql, params) =>
      client.unsafe(sql, params).pipe(Effect.mapError(({ cause, message }) => readFailed(cause ?? message)))
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
export const layer = (options: { readonly filename: string }): Layer.Layer<DatabaseReader, ReadFailed> =>
  Layer.scoped(DatabaseReader, open(options.filename))
