/**
 * Transactions with code between their statements, on a connection of their own in the calling thread. Each runs under
 * the permit of the writer.
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Durability } from "../../writer/Durability.ts"
import { EngineFault, type Fault } from "../../writer/SqliteConnection.ts"
import type { StatementResult } from "../../writer/Write.ts"
import type { EngineOptions } from "./connectionState.ts"
import * as FreeSpace from "./freeSpace.ts"
import { GuardedConnection } from "./guardedConnection.ts"
import * as OpenConnection from "./openConnection.ts"
import { Refusal } from "./refusal.ts"
import { steersConnection } from "./steering.ts"

/**
 * How a transaction ended that had begun, which must not be tried again. It has neither a code nor a cause, so that it
 * is not mistaken for a busy database.
 */
export class Ended extends Data.TaggedError("Ended")<{ readonly reason: Cause.Cause<unknown> }> {}

export interface Level {
  /** One statement of this transaction. */
  readonly execute: (sql: string, params: ReadonlyArray<unknown>) => Effect.Effect<StatementResult, EngineFault>
  /** A transaction in this one: a savepoint. One after the other, since savepoints are a stack. */
  readonly nested: <A, E, R>(self: (level: Level) => Effect.Effect<A, E, R>) => Effect.Effect<A, E | EngineFault, R>
}

export interface Transactions {
  /**
   * Runs `self` in `BEGIN IMMEDIATE … COMMIT`. Fails with `EngineFault` when the transaction did not begin, and with
   * `Ended` in every other case.
   */
  readonly run: <A, E, R>(
    durability: Durability,
    self: (level: Level) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, EngineFault | Ended, R>
  /** Takes no new transaction. One that runs goes on to its end, and the connection is closed then. */
  readonly close: () => void
}

const misuse = (detail: string): Fault => ({ reason: "Rejected", code: "SQLITE_MISUSE", detail, phase: "statement" })

const orFail = <A>(body: () => A): Effect.Effect<A, EngineFault> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(body())
    } catch (refusal) {
      if (refusal instanceof Refusal) return Effect.fail(new EngineFault(refusal.fault))
      throw refusal
    }
  })

/** What the statements of one transaction share. */
interface State {
  readonly connection: GuardedConnection
  /** SQLite has ended the transaction by itself: a statement would now be committed alone. */
  broken: Fault | undefined
  savepoints: number
}

const ended = misuse("the transaction has ended")

const closed: Fault = { reason: "Gone", code: "GONE", detail: "the client is closed", phase: "queued" }

/** Whether SQLite has rolled the whole transaction back, as `OR ROLLBACK` and `RAISE(ROLLBACK)` do. */
const isGone = ({ connection }: State): boolean => {
  try {
    connection.execute("BEGIN", [], "statement")
  } catch {
    return false
  }
  connection.rollback()
  return true
}

const execute = (state: State, sql: string, params: ReadonlyArray<unknown>): StatementResult => {
  if (state.broken !== undefined) throw new Refusal(state.broken)
  if (steersConnection(sql)) {
    throw new Refusal(misuse("a statement must not steer the transaction or the connection"))
  }
  try {
    return state.connection.execute(sql, params, "statement")
  } catch (refusal) {
    if (refusal instanceof Refusal && (refusal.fault.reason !== "Rejected" || isGone(state))) {
      state.broken = refusal.fault
    }
    throw refusal
  }
}

const makeLevel = (state: State): { readonly level: Level; readonly close: () => void } => {
  let isOpen = true
  const turn = Effect.unsafeMakeSemaphore(1)
  const steer = (sql: string): void => {
    if (state.broken !== undefined) throw new Refusal(state.broken)
    state.connection.execute(sql, [], "statement")
  }
  const level: Level = {
    // A fiber that was forked in the transaction may outlive it.
    execute: (sql, params) =>
      orFail(() => {
        if (!isOpen) throw new Refusal(ended)
        return execute(state, sql, params)
      }),
    nested: (self) =>
      turn.withPermits(1)(
        Effect.uninterruptibleMask((restore) =>
          Effect.gen(function* () {
            const name = `nested_${++state.savepoints}`
            yield* orFail(() => {
              if (!isOpen) throw new Refusal(ended)
              steer(`SAVEPOINT ${name}`)
            })
            const inner = makeLevel(state)
            const exit = yield* Effect.exit(restore(self(inner.level)))
            inner.close()
            if (Exit.isSuccess(exit)) yield* orFail(() => steer(`RELEASE ${name}`))
            // What ended the transaction has undone this part of it too.
            else if (state.broken === undefined) {
              yield* orFail(() => {
                steer(`ROLLBACK TO ${name}`)
                steer(`RELEASE ${name}`)
              })
            }
            return yield* exit
          })
        )
      )
  }
  return {
    level,
    close: () => {
      isOpen = false
    }
  }
}

/** Opens the connection. Throws a `Fault`. */
export const make = (options: EngineOptions): Transactions => {
  const connection = new GuardedConnection(options, OpenConnection.open)
  const space = FreeSpace.make(options.filename, options.freeReserveBytes)

  let isRunning = false
  let isClosed = false

  const begin = (durability: Durability): void => {
    if (isClosed) throw new Refusal(closed)
    connection.demandGoing()
    connection.demandUnmoved("queued")
    const refusal = space.refusal(() => connection.reusableBytes())
    if (refusal !== undefined) throw new Refusal(refusal)
    connection.demandDurability(durability)
    connection.execute("BEGIN IMMEDIATE", [], "begin")
  }

  const commit = (state: State): void => {
    if (state.broken !== undefined) throw new Refusal(state.broken)
    connection.execute("COMMIT", [], "commit")
    connection.confirm()
  }

  return {
    run: <A, E, R>(durability: Durability, self: (level: Level) => Effect.Effect<A, E, R>) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          yield* orFail(() => begin(durability))
          isRunning = true
          const state: State = { connection, broken: undefined, savepoints: 0 }
          const { close, level } = makeLevel(state)
          const body = yield* Effect.exit(restore(self(level)))
          close()
          const exit: Exit.Exit<A, E | EngineFault> = Exit.isSuccess(body)
            ? yield* Effect.exit(
                Effect.as(
                  orFail(() => commit(state)),
                  body.value
                )
              )
            : body
          if (Exit.isFailure(exit)) connection.rollback()
          isRunning = false
          if (isClosed) connection.close()
          if (Exit.isSuccess(exit)) return exit.value
          // The writer tells a body that it interrupted from one that failed.
          return Cause.isInterruptedOnly(exit.cause)
            ? yield* Effect.interrupt
            : yield* new Ended({ reason: exit.cause })
        })
      ),
    close: () => {
      isClosed = true
      if (!isRunning) connection.close()
    }
  }
}
