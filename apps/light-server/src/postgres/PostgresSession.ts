/** One connection for work before the server starts, and for commands: checks, migrations, copies. */
import { Deferred, Effect, Redacted, type Scope } from "effect"
import { Client, type QueryResultRow, types as pgTypes } from "pg"
import type { PostgresAddress } from "../PostgresAddress.ts"
import * as PostgresFailure from "./PostgresFailure.ts"

export interface PostgresSession {
  readonly place: string
  readonly client: Client
  /** The connection has ended or is broken. */
  readonly ended: Effect.Effect<void>
  readonly query: <Row extends QueryResultRow>(
    sql: string,
    params?: ReadonlyArray<unknown>
  ) => Effect.Effect<ReadonlyArray<Row>, PostgresFailure.PostgresFailure>
}

const connectLimitMillis = 5000

/** Numbers of 64 bits as numbers: no count and no time is beyond what one can hold. */
const int8 = 20

const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === int8 ? Number : pgTypes.getTypeParser(oid, format as "text")) as typeof pgTypes.getTypeParser
}

/** Connects. The connection is closed with the scope. */
export const open = ({
  place,
  url
}: PostgresAddress): Effect.Effect<PostgresSession, PostgresFailure.PostgresFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const failed = (cause: unknown) => PostgresFailure.of(place, cause)
    const client = yield* Effect.acquireRelease(
      Effect.try({
        try: () =>
          new Client({
            connectionString: Redacted.value(url),
            connectionTimeoutMillis: connectLimitMillis,
            application_name: "happier-light-server command",
            types
          }),
        catch: failed
      }),
      (client) => Effect.promise(() => client.end().catch(() => undefined))
    )
    const ended = yield* Deferred.make<void>()
    const end = () => void Deferred.unsafeDone(ended, Effect.void)
    // What breaks the connection is answered to the query that runs, or to the next one.
    client.on("error", end).on("end", end)
    yield* Effect.tryPromise({ try: () => client.connect(), catch: failed })
    return {
      place,
      client,
      ended: Deferred.await(ended),
      query: <Row extends QueryResultRow>(sql: string, params?: ReadonlyArray<unknown>) =>
        Effect.map(
          Effect.tryPromise({
            try: () => (params === undefined ? client.query<Row>(sql) : client.query<Row>(sql, [...params])),
            catch: failed
          }),
          // Several statements in one text have one result each.
          (result) => (Array.isArray(result) ? [] : result.rows)
        )
    }
  })

/** Runs `body` in a transaction, which is rolled back unless it succeeds. */
export const transaction = <A, E>(
  { query }: PostgresSession,
  body: Effect.Effect<A, E>,
  begin = "BEGIN"
): Effect.Effect<A, E | PostgresFailure.PostgresFailure> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.zipRight(
      query(begin),
      restore(body).pipe(
        Effect.tapErrorCause(() => Effect.ignore(query("ROLLBACK"))),
        Effect.zipLeft(query("COMMIT"))
      )
    )
  )
