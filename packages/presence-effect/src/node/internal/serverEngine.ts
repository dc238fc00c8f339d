/** The engine of a database server: one transaction per group, on a connection of its own for each permit. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { EngineService, Fault, WriteAnswer } from "../../writer/Engine.ts"
import { EngineFault } from "../../writer/Engine.ts"
import type { Durability } from "../../writer/Durability.ts"
import type { Statement } from "../../writer/Write.ts"
import { Refusal } from "./refusal.ts"
import type { Driver, Session, SessionPool } from "./serverSession.ts"
import { makePool } from "./serverSession.ts"
import { asFarAsItCame, type Progress, runGroup } from "./serverTransaction.ts"

type Group = ReadonlyArray<ReadonlyArray<Statement>>

/** Of a call that names no limit. */
const limitMillisDefault = 30_000

const orFault = async (driver: Driver, pool: SessionPool): Promise<Session | Fault> => {
  try {
    return await pool.take()
  } catch (cause) {
    return driver.faultOf(cause, "queued")
  }
}

const isFault = (taken: Session | Fault): taken is Fault => "reason" in taken

/**
 * Runs the group and leaves the connection as it was, or without a connection. A server that does not answer within
 * twice the limit is cut off, so that no permit is held for ever by a connection that is dead without a sign.
 */
const run = async (
  driver: Driver,
  pool: SessionPool,
  group: Group,
  durability: Durability,
  limitMillis: number
): Promise<ReadonlyArray<WriteAnswer> | Fault> => {
  const session = await orFault(driver, pool)
  if (isFault(session)) return session
  const progress: Progress = { isCommitSent: false }
  const cutOff = setTimeout(session.destroy, 2 * limitMillis)
  try {
    return await runGroup(driver, session, group, { durability, limitMillis }, progress)
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) {
      session.destroy()
      throw refusal
    }
    const fault = asFarAsItCame(refusal.fault, progress)
    // What is lost is not found again; and instead of a server that is only read, a new connection may find another.
    if (fault.reason === "Lost" || fault.reason === "Readonly") session.destroy()
    if (session.isAlive()) {
      const [outcome] = await session.run([{ sql: "ROLLBACK" }])
      if (outcome?._tag !== "Done") session.destroy()
    }
    return fault
  } finally {
    clearTimeout(cutOff)
    pool.giveBack(session)
  }
}

/** Opens one connection, to find out now what is wrong with the address; the others are opened when they are needed. */
export const make = (driver: Driver, permits: number): Effect.Effect<EngineService, EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => makePool(driver)),
      ({ close }) => Effect.promise(close)
    )
    const stopped = yield* Deferred.make<never, EngineFault>()
    let stopFault: EngineFault | undefined
    const first = yield* Effect.promise(() => orFault(driver, pool))
    if (isFault(first)) return yield* new EngineFault(first)
    pool.giveBack(first)
    return {
      permits,
      run: (group, durability, limitMillis = limitMillisDefault) =>
        Effect.suspend(() =>
          stopFault === undefined
            ? Effect.promise(() => run(driver, pool, group, durability, limitMillis))
            : Effect.succeed<Fault>(stopFault)
        ).pipe(
          Effect.flatMap((answer) =>
            "reason" in answer ? Effect.fail(new EngineFault(answer)) : Effect.succeed(answer)
          )
        ),
      untilStopped: Deferred.await(stopped),
      stop: (fault) =>
        Effect.suspend(() => {
          stopFault ??= new EngineFault({ ...fault, isFinal: true })
          return Deferred.fail(stopped, stopFault)
        })
    }
  })
