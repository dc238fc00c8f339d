/**
 * The `SqlClient` of `@effect/sql` over the writer: repositories that are written
 * against it go through the lanes unchanged.
 *
 * - A statement that only reads runs at once on a connection that only reads, in the calling thread. It
 *   sees everything that was committed, and never waits for the permit.
 * - Any other statement is one write in a lane, in the thread of the writer.
 * - `sql.withTransaction` is one `withPermit` in a lane: `BEGIN IMMEDIATE … COMMIT` on a connection of its own in the
 *   calling thread, so keep it short. What is inside, reads included, runs there; a transaction inside is a
 *   savepoint.
 * - The lane is `data`, or what the layer says, or what `withLane` says.
 *
 * **Errors**: `SqlError`, with the failure of the writer as its `cause`:
 * `isWriterError(error.cause)` tells.
 *
 * @since 0.3.0
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as SqlStatement from "@effect/sql/Statement"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { withKeptSpan } from "../internal/keptSpan.ts"
import { faultOf, isFault } from "../sqlite/internal/resultCode.ts"
import { demandBindable } from "../writer/internal/bindable.ts"
import { toWriterError } from "../writer/internal/engineFailure.ts"
import * as Lane from "../writer/Lane.ts"
import { EngineFault, SqliteConnection } from "../writer/SqliteConnection.ts"
import { SqliteWriter } from "../writer/SqliteWriter.ts"
import * as Write from "../writer/Write.ts"
import { isWriterError, type WriterError } from "../writer/WriterError.ts"
import * as WriterPolicy from "../writer/WriterPolicy.ts"
import * as Transactions from "./internal/interactiveTransaction.ts"
import { engineOptions, retryBusyOpen } from "./internal/opening.ts"
import * as ReadConnection from "./internal/readConnection.ts"
import { steersConnection } from "./internal/steering.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"

/**
 * @category models
 * @since 0.3.0
 */
export interface WriterClientOptions extends SqliteOptions {
  /** Lane of whatever `withLane` does not say. Default `data`. */
  readonly lane?: Lane.Lane
  /** Names of columns in results. */
  readonly transformResultNames?: (name: string) => string
  /** Names of tables and columns in statements. */
  readonly transformQueryNames?: (name: string) => string
}

/** The lane that the fiber has chosen. */
class ChosenLane extends Context.Reference<ChosenLane>()("presence-effect/node/WriterClient/ChosenLane", {
  defaultValue: (): Lane.Lane | undefined => undefined
}) {}

/**
 * Statements and transactions of the effect go in `lane`. A transaction takes the lane it begins in.
 *
 * @example
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 * import * as WriterClient from "presence-effect/node/WriterClient"
 * import * as Lane from "presence-effect/writer/Lane"
 *
 * export const register = (id: string) =>
 *   Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO Machine (id) VALUES (${id})`).pipe(
 *     WriterClient.withLane(Lane.control)
 *   )
 *
 * @category combinators
 * @since 0.3.0
 */
export const withLane =
  (lane: Lane.Lane) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, ChosenLane, lane)

const sqlErrorOf = (cause: WriterError): SqlError => new SqlError({ cause, message: cause.message })

/** A driver of SQLite binds `undefined` as NULL, and repositories rely on it. */
const nullable = (params: ReadonlyArray<unknown>): ReadonlyArray<Write.SqlValue> =>
  params.map((value) => (value === undefined ? null : value)) as ReadonlyArray<Write.SqlValue>

type Rows = ReadonlyArray<Write.Row>

/** The methods of a connection of `@effect/sql`, from the two that differ here. */
const connectionOf = (ask: {
  readonly run: (sql: string, params: ReadonlyArray<unknown>) => Effect.Effect<Write.StatementResult, SqlError>
  readonly values: Connection["executeValues"]
}): Connection => {
  const execute: Connection["execute"] = (sql, params, transformRows) =>
    Effect.map(ask.run(sql, params), ({ rows }) => (transformRows === undefined ? rows : transformRows(rows)))
  return {
    execute,
    executeUnprepared: execute,
    executeRaw: ask.run,
    executeValues: ask.values,
    executeStream: (sql, params, transformRows) => Stream.fromIterableEffect(execute(sql, params, transformRows))
  }
}

const valuesOf = (rows: Rows): ReadonlyArray<ReadonlyArray<Write.SqlValue>> => rows.map((row) => Object.values(row))

/** Reads on its connection, and writes each other statement in its lane. */
const outside = (
  writer: SqliteWriter["Type"],
  reader: ReadConnection.ReadConnection,
  laneOf: Effect.Effect<Lane.Lane>
): Connection => {
  const attempt = <A>(lane: Lane.Lane, body: () => A): Effect.Effect<A, SqlError> =>
    Effect.try({
      try: body,
      catch: (cause) => sqlErrorOf(toWriterError(faultOf(cause, "statement"), { lane, attempts: 1, heldMillis: 0 }))
    })

  /** A read is busy only while another connection recovers or removes the log. */
  const retryBusy = <A>(lane: Lane.Lane, self: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> =>
    Effect.retry(self, {
      while: ({ cause }) => isWriterError(cause) && cause._tag === "DatabaseBusy",
      schedule: Schedule.intersect(
        Schedule.spaced("5 millis"),
        Schedule.recurUpTo(WriterPolicy.termsOf(writer.policy, lane).retryForMillis)
      )
    })

  const ask = <A>(
    sql: string,
    given: ReadonlyArray<unknown>,
    read: (params: ReadonlyArray<unknown>, isExact: boolean) => A,
    ofWrite: (result: Write.StatementResult) => A
  ): Effect.Effect<A, SqlError> =>
    Effect.gen(function* () {
      const lane = yield* laneOf
      const isExact = yield* SqlClient.SafeIntegers
      const params = nullable(given)
      const write = Write.statement(sql, params)
      yield* Effect.mapError(demandBindable(lane, write), sqlErrorOf)
      // What steers the connection is refused by the writer, in one place.
      const writes =
        steersConnection(sql) ||
        (yield* retryBusy(
          lane,
          attempt(lane, () => reader.writes(sql))
        ))
      if (!writes)
        return yield* retryBusy(
          lane,
          attempt(lane, () => read(params, isExact))
        )
      return ofWrite(yield* Effect.mapError(writer.write(lane, write), sqlErrorOf))
    })

  return connectionOf({
    run: (sql, params) =>
      ask(
        sql,
        params,
        (values, isExact): Write.StatementResult => ({ rows: reader.rows(sql, values, isExact), changes: 0 }),
        (result) => result
      ),
    values: (sql, params) =>
      ask(
        sql,
        params,
        (values, isExact) => reader.values(sql, values, isExact),
        ({ rows }) => valuesOf(rows)
      )
  })
}

/** Transactions of this client, so that one inside another finds it. */
const levels = new WeakMap<Connection, Transactions.Level>()

const inside = (lane: Lane.Lane, level: Transactions.Level): Connection => {
  const run = (sql: string, given: ReadonlyArray<unknown>): Effect.Effect<Write.StatementResult, SqlError> => {
    const params = nullable(given)
    return demandBindable(lane, Write.statement(sql, params)).pipe(
      Effect.zipRight(level.execute(sql, params)),
      Effect.mapError((failure) => sqlErrorOf(writerErrorOf(lane, failure)))
    )
  }
  const connection = connectionOf({
    run,
    values: (sql, params) => Effect.map(run(sql, params), ({ rows }) => valuesOf(rows))
  })
  levels.set(connection, level)
  return connection
}

const writerErrorOf = (lane: Lane.Lane, failure: EngineFault | WriterError, attempts = 1): WriterError =>
  failure._tag === "EngineFault" ? toWriterError(failure, { lane, attempts, heldMillis: 0 }) : failure

/** Statements of `self` go to `connection`. */
const within = <A, E, R>(connection: Connection, depth: number, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(FiberRef.get(FiberRef.currentContext), (context) =>
    Effect.locally(
      self,
      FiberRef.currentContext,
      Context.add(context, SqlClient.TransactionConnection, [connection, depth] as const)
    )
  )

const withTransaction =
  (writer: SqliteWriter["Type"], transactions: Transactions.Transactions, laneOf: Effect.Effect<Lane.Lane>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> => {
    const begin = Effect.flatMap(laneOf, (lane) => {
      const { durability } = WriterPolicy.termsOf(writer.policy, lane)
      let attempts = 0
      const body = Effect.suspend(() => {
        attempts++
        return transactions.run(durability, (level) => within(inside(lane, level), 0, self))
      })
      return Effect.catchAll(writer.withPermit(lane)(body), (failure): Effect.Effect<never, E | SqlError> => {
        if (failure._tag !== "Ended") return Effect.fail(sqlErrorOf(writerErrorOf(lane, failure, attempts)))
        return Effect.mapError(Effect.failCause(failure.reason), (error) =>
          error instanceof EngineFault ? sqlErrorOf(writerErrorOf(lane, error)) : (error as E)
        )
      })
    })
    return Effect.flatMap(Effect.serviceOption(SqlClient.TransactionConnection), (around) => {
      const level = around._tag === "Some" ? levels.get(around.value[0]) : undefined
      if (around._tag === "None" || level === undefined) return begin
      const depth = around.value[1] + 1
      return Effect.flatMap(laneOf, (lane) =>
        Effect.mapError(
          level.nested((inner) => within(inside(lane, inner), depth, self)),
          (error) => (error instanceof EngineFault ? sqlErrorOf(writerErrorOf(lane, error)) : error)
        )
      )
    }).pipe(withKeptSpan("sql.transaction", { kind: "client", attributes: { "db.system.name": "sqlite" } }))
  }

/** Opens what throws a fault, tries again while it is busy, and closes it with the scope. */
const openScoped = <A extends { readonly close: () => void }>(options: SqliteOptions, open: () => A) =>
  Effect.acquireRelease(
    retryBusyOpen(options)(
      Effect.try({
        try: open,
        catch: (fault) => new EngineFault(isFault(fault) ? fault : faultOf(fault, "queued"))
      })
    ),
    (opened) => Effect.sync(() => opened.close())
  )

/**
 * **Details**
 *
 * - `raw` gives `{ rows, changes }`. A stream reads all its rows at once.
 * - Integers beyond 2^53 come as bigint. With `SafeIntegers` every integer that a read outside of transactions gives is
 *   one.
 * - `undefined` is bound as NULL. `Date` and `boolean` cannot be bound.
 * - A fiber that outlives the transaction it was forked in fails: the transaction has ended.
 *
 * **Errors**: `EngineFault` when the file cannot be opened.
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (
  options: WriterClientOptions
): Effect.Effect<
  SqlClient.SqlClient,
  EngineFault,
  SqliteWriter | SqliteConnection | Reactivity.Reactivity | Scope.Scope
> =>
  Effect.gen(function* () {
    const writer = yield* SqliteWriter
    const port = yield* SqliteConnection
    const transactions = yield* openScoped(options, () => Transactions.make(engineOptions(options)))
    const reader = yield* openScoped(options, () => ReadConnection.open(options.filename))
    let stopped: EngineFault | undefined
    const watched = Effect.catchAll(port.untilStopped, (fault) => Effect.sync(() => (stopped = fault)))
    yield* Effect.forkScoped(Effect.interruptible(watched))
    const guarded: Transactions.Transactions = {
      close: transactions.close,
      run: (durability, self) =>
        Effect.suspend(() => (stopped === undefined ? transactions.run(durability, self) : Effect.fail(stopped))).pipe(
          // A file that is damaged or was moved is left alone by the writer too.
          Effect.tapError((failure) => {
            const fault =
              failure._tag === "Ended" ? Option.getOrUndefined(Cause.failureOption(failure.reason)) : failure
            return fault instanceof EngineFault && fault.isFinal === true ? port.stop(fault) : Effect.void
          })
        )
    }
    const laneOf = Effect.map(ChosenLane, (chosen) => chosen ?? options.lane ?? Lane.data)
    const { transformQueryNames, transformResultNames } = options
    const client = yield* SqlClient.make({
      acquirer: Effect.succeed(outside(writer, reader, laneOf)),
      compiler: SqlStatement.makeCompilerSqlite(transformQueryNames),
      spanAttributes: [["db.system.name", "sqlite"]],
      transformRows:
        transformResultNames === undefined ? undefined : SqlStatement.defaultTransforms(transformResultNames).array
    })
    return Object.assign(client, { withTransaction: withTransaction(writer, guarded, laneOf) })
  })

/**
 * @category layers
 * @since 0.3.0
 */
export const layer = (
  options: WriterClientOptions
): Layer.Layer<SqlClient.SqlClient, EngineFault, SqliteWriter | SqliteConnection> =>
  Layer.scoped(SqlClient.SqlClient, make(options)).pipe(Layer.provide(Reactivity.layer))
