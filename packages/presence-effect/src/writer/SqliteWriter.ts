/**
 * The only door to SQLite writes.
 *
 * The permit belongs to the engine's work, not to the caller: a caller that
 * gives up or is interrupted is free at once, while the permit stays until the
 * engine has answered. So nobody is ever let in beside a statement that still
 * runs, and nobody hangs on one that never ends.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Attempts from "./internal/attempts.ts"
import * as Deadlines from "./internal/deadlines.ts"
import { isBusyFailure, toWriterError } from "./internal/sqliteFault.ts"
import * as WriterJournal from "./internal/writerJournal.ts"
import type * as Lane from "./Lane.ts"
import * as LaneSemaphore from "./LaneSemaphore.ts"
import type { CheckpointMode, CheckpointResult } from "./SqliteConnection.ts"
import { SqliteConnection } from "./SqliteConnection.ts"
import type { Write } from "./Write.ts"
import type { LaneOverflow, WriterClosed, WriterError } from "./WriterError.ts"
import { PermitTimeout, WriteUndecodable, WriteUnconfirmed } from "./WriterError.ts"
import * as WriterPolicy from "./WriterPolicy.ts"

/**
 * A result with the time it took.
 *
 * @category models
 * @since 0.1.0
 */
export interface Measured<out A> {
  readonly value: A
  /** From the call to the grant of the attempt that succeeded. */
  readonly waitMillis: number
  /** From that grant to the engine's answer. */
  readonly holdMillis: number
  /** Attempts, the first included. */
  readonly attempts: number
  /** Writes that shared the commit. */
  readonly groupSize: number
}

/**
 * Times are on the wall clock as it goes when the status is read: their distance
 * from it is the true age, also after the clock was set.
 *
 * @category models
 * @since 0.1.0
 */
export interface WriterStatus {
  readonly state: "open" | "draining" | "closed"
  /** Who holds the permit, and since when (epoch ms). */
  readonly holder: { readonly lane: Lane.Lane; readonly sinceMillis: number } | undefined
  /** In serving order. */
  readonly lanes: ReadonlyArray<{ readonly lane: Lane.Lane; readonly waiterCount: number; readonly capacity: number }>
  /** Epoch ms of the last commit the engine confirmed. */
  readonly lastCommitMillis: number | undefined
  /** The last failure of the engine since that commit. */
  readonly lastFailure: { readonly tag: WriterError["_tag"]; readonly atMillis: number } | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class SqliteWriter extends Context.Tag("presence-effect/writer/SqliteWriter")<
  SqliteWriter,
  {
    readonly policy: WriterPolicy.ResolvedPolicy
    /** Commits `write` on the terms of `lane`. */
    readonly write: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<A, WriterError>
    /** The same, with the time it took. */
    readonly writeMeasured: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<Measured<A>, WriterError>
    /** Runs an opaque effect under the permit, for hosts that write through a client of their own. */
    readonly withPermit: (
      lane: Lane.Lane
    ) => <A, E, R>(
      self: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | LaneOverflow | PermitTimeout | WriteUnconfirmed | WriterClosed, R>
    /** Checkpoint by the writing connection, under the permit of `lane`. */
    readonly checkpoint: (lane: Lane.Lane, mode: CheckpointMode) => Effect.Effect<CheckpointResult, WriterError>
    readonly status: Effect.Effect<WriterStatus>
  }
>() {}

/**
 * Builds the writer around a connection.
 *
 * **Errors**: `PolicyInvalid` with every contradiction in `policy`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Effect.Effect<SqliteWriter["Type"], WriterPolicy.PolicyInvalid, SqliteConnection | Scope.Scope> =>
  Effect.gen(function* () {
    const resolved = yield* WriterPolicy.resolve(policy)
    const connection = yield* SqliteConnection
    const clock = yield* Effect.clock
    const journal = WriterJournal.make(resolved, clock)
    const lanes = yield* LaneSemaphore.make({ ...resolved, onQueue: journal.queued })
    const deadlines = yield* Deadlines.make(clock)
    let state: WriterStatus["state"] = "open"

    const bodies = yield* Scope.make()
    const attempts = Attempts.make({ lanes, connection, deadlines, journal })

    /** Tries again on the terms of the lane. `attempt` is told how long it may wait for the permit. */
    const withRetries = <A, E, R>(
      lane: WriterPolicy.ResolvedLane,
      schedule: Schedule.Schedule<unknown, E>,
      attempt: (acquireMillis: number, attempts: number) => Effect.Effect<A, E, R>
    ): Effect.Effect<A, E, R> => {
      const startedAt = deadlines.now()
      const first = attempt(lane.acquireTimeoutMillis, 1)
      if (lane.retryForMillis <= 0) return first
      return Effect.catchAll(first, (failure) => {
        let attempts = 0
        // The schedule sees the first failure as the failure of this effect, so that its delays begin there.
        const again = Effect.suspend(() => {
          const left = startedAt + lane.deadlineMillis - lane.holdLimitMillis - deadlines.now()
          if (++attempts === 1 || left <= 0) return Effect.fail(failure)
          return attempt(Math.min(lane.acquireTimeoutMillis, left), attempts)
        })
        // Besides the schedule, which follows the wall clock: set back, that would go on for as long as it was set.
        const isInTime = () => deadlines.now() - startedAt < lane.retryForMillis
        return Effect.retry(again, Schedule.whileInput(schedule, isInTime))
      })
    }

    const writeMeasured = <A>(lane: Lane.Lane, write: Write<A>): Effect.Effect<Measured<A>, WriterError> =>
      Effect.suspend(() => {
        const laneTerms = WriterPolicy.termsOf(resolved, lane)
        const startedAt = deadlines.now()
        let attemptCount = 1
        return withRetries(laneTerms, WriterPolicy.retrySchedule(laneTerms), (acquireMillis, attempt) => {
          attemptCount = attempt
          return attempts.run(laneTerms, write, acquireMillis, attempt)
        }).pipe(
          Effect.flatMap(({ grantedAt, groupSize, holdMillis, results }) =>
            Either.match(write.decode(results), {
              onLeft: (error) => Effect.fail(new WriteUndecodable({ lane, detail: error.message })),
              onRight: (value) =>
                Effect.succeed({
                  value,
                  waitMillis: grantedAt - startedAt,
                  holdMillis,
                  attempts: attemptCount,
                  groupSize
                })
            })
          )
        )
      })

    /** One try of an opaque effect, in a fiber of its own: it keeps the permit when its caller leaves. */
    const holdOpaque = <A, E, R>(
      lane: WriterPolicy.ResolvedLane,
      self: Effect.Effect<A, E, R>,
      acquireMillis: number
    ) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const startedAt = deadlines.now()
          let grantedAt = startedAt
          let body: Fiber.RuntimeFiber<A, E> | undefined
          const held = Effect.sync(() => journal.held(lane.lane, deadlines.now() - grantedAt))
          const start = (giveBack: Effect.Effect<void>) =>
            Effect.suspend(() => {
              grantedAt = deadlines.now()
              journal.waited(lane.lane, grantedAt - startedAt)
              journal.holding(lane.lane)
              // Interruptible for its own timeouts only: nobody but the end of the writer interrupts it.
              const work = Effect.ensuring(Effect.interruptible(self), Effect.zipRight(held, giveBack))
              return Effect.map(Effect.forkIn(work, bodies), (fiber) => {
                body = fiber
              })
            })
          const refused = (error: LaneOverflow | PermitTimeout | WriterClosed) =>
            Effect.zipRight(
              Effect.sync(() => journal.failed(error)),
              Effect.fail(error)
            )
          const granted = Effect.catchAll(lanes.whenGranted(lane.lane)(start), refused)
          yield* restore(Effect.timeoutOption(granted, acquireMillis))
          // Asked of the body, not of the race: a grant in the instant of the timeout has begun.
          if (body === undefined) {
            const waitedMillis = deadlines.now() - startedAt
            return yield* refused(new PermitTimeout({ lane: lane.lane, waitedMillis }))
          }
          const result = yield* restore(Effect.timeoutOption(Fiber.join(body), lane.holdLimitMillis))
          if (Option.isSome(result)) return result.value
          const heldMillis = deadlines.now() - grantedAt
          return yield* new WriteUnconfirmed({ lane: lane.lane, reason: "hold-limit", heldMillis })
        })
      )

    const withPermit: SqliteWriter["Type"]["withPermit"] = (lane) => (self) =>
      Effect.suspend(() => {
        const laneTerms = WriterPolicy.termsOf(resolved, lane)
        const schedule = Schedule.whileInput(WriterPolicy.retryDelays(laneTerms), isBusyFailure)
        return withRetries(laneTerms, schedule, (acquireMillis) => holdOpaque(laneTerms, self, acquireMillis))
      })

    const longestHoldMillis = Math.max(...resolved.lanes.map(({ holdLimitMillis }) => holdLimitMillis))
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        state = "draining"
        yield* lanes.close
        // Finalizers are uninterruptible; without `interruptible` the timeout would wait for the engine. It stands
        // inside: outside, a fiber that was interrupted, which is how programs end, would not wait at all.
        yield* Effect.timeoutOption(Effect.interruptible(lanes.awaitFree), longestHoldMillis)
        attempts.abandonRunning()
        yield* Scope.close(bodies, Exit.void)
        state = "closed"
      })
    )

    return SqliteWriter.of({
      policy: resolved,
      write: (lane, write) => Effect.map(writeMeasured(lane, write), ({ value }) => value),
      writeMeasured,
      withPermit,
      checkpoint: (lane, mode) =>
        Effect.mapError(withPermit(lane)(connection.checkpoint(mode)), (error) =>
          error._tag === "EngineFault" ? toWriterError(error, { lane, attempts: 1, heldMillis: 0 }) : error
        ),
      status: Effect.sync(() => ({
        state,
        holder: journal.holder(),
        lanes: resolved.lanes.map(({ capacity, lane }) => ({ lane, waiterCount: lanes.waiterCount(lane), capacity })),
        lastCommitMillis: journal.lastCommitMillis(),
        lastFailure: journal.lastFailure()
      }))
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Layer.Layer<SqliteWriter, WriterPolicy.PolicyInvalid, SqliteConnection> => Layer.scoped(SqliteWriter, make(policy))
