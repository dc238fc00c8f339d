/** Reads from a database server: connections of their own, which cannot write. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { EngineFault } from "../../writer/Engine.ts"
import type { SqlValue } from "../../writer/Write.ts"
import type { Driver, SessionPool } from "./serverSession.ts"
import { makePool } from "./serverSession.ts"

interface Options {
  readonly connections: number
  readonly timeout: Duration.DurationInput
}

const readRows = async (
  driver: Driver,
  pool: SessionPool,
  sql: string,
  params: ReadonlyArray<SqlValue>,
  limitMillis: number
) => {
  const session = await pool.take()
  const cutOff = setTimeout(session.destroy, 2 * limitMillis)
  try {
    const [outcome] = await session.run([{ sql, params }])
    if (outcome?._tag === "Done") return outcome.result.rows
    if (driver.faultOf(outcome?.cause, "queued").reason === "Lost") session.destroy()
    throw outcome?.cause
  } finally {
    clearTimeout(cutOff)
    pool.giveBack(session)
  }
}

/** The driver's connections must be read-only, with a limit for each statement. */
export const make = (
  driver: Driver,
  { connections, timeout }: Options
): Effect.Effect<
  {
    readonly query: (sql: string, params: ReadonlyArray<SqlValue>) => Effect.Effect<ReadonlyArray<unknown>, EngineFault>
  },
  EngineFault,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => makePool(driver)),
      ({ close }) => Effect.promise(close)
    )
    const limitMillis = Duration.toMillis(timeout)
    const turns = yield* Effect.makeSemaphore(connections)
    const faultOf = (cause: unknown) => new EngineFault(driver.faultOf(cause, "queued"))
    pool.giveBack(yield* Effect.tryPromise({ try: pool.take, catch: faultOf }))
    return {
      query: (sql, params) =>
        Effect.tryPromise({ try: () => readRows(driver, pool, sql, params, limitMillis), catch: faultOf }).pipe(
          // A read that is interrupted goes on in the server, and keeps its connection until it is answered.
          Effect.uninterruptible,
          turns.withPermits(1)
        )
    }
  })
