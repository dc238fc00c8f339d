import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { ResolvedLane } from "../WriterPolicy.ts"
import type { Deadlines } from "./deadlines.ts"

/**
 * Tries again on the terms of the lane. `attempt` is given how long it may wait for the permit; `schedule` is made only
 * after a failure.
 */
export const withRetries = <A, E, R>(
  deadlines: Deadlines,
  lane: ResolvedLane,
  schedule: () => Schedule.Schedule<unknown, E>,
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
    return Effect.retry(again, Schedule.whileInput(schedule(), isInTime))
  })
}
