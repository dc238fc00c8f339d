/**
 * How late the event loop is: how long something that comes at a random moment
 * waits for its turn.
 */
import { Effect, Schedule, type Scope } from "effect"
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks"

export interface LoopDelay {
  readonly currentMillis: () => number
}

const resolutionMillis = 10

const sampleEvery = "500 millis"

/**
 * The mean of the gaps, each weighted by its length: a moment falls into a long
 * gap more often than into a short one, so ten gaps of 10 ms and one of 900 ms
 * are a late loop.
 */
export const weighted = ({ mean, stddev }: Pick<IntervalHistogram, "mean" | "stddev">): number => {
  const meanMillis = mean / 1e6
  const deviationMillis = stddev / 1e6
  if (!(meanMillis > 0)) return 0
  return Math.max(0, (meanMillis ** 2 + deviationMillis ** 2) / meanMillis - resolutionMillis)
}

/**
 * The smaller one of the last two samples: one long gap, such as that of a
 * process that was stopped, is over when it is seen, and refusing work would
 * not help.
 */
export const make: Effect.Effect<LoopDelay, never, Scope.Scope> = Effect.gen(function* () {
  const histogram = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const histogram = monitorEventLoopDelay({ resolution: resolutionMillis })
      histogram.enable()
      return histogram
    }),
    (histogram) => Effect.sync(() => histogram.disable())
  )
  let last = 0
  let current = 0
  const sample = Effect.sync(() => {
    const now = weighted(histogram)
    histogram.reset()
    current = Math.min(last, now)
    last = now
  })
  yield* Effect.forkScoped(Effect.repeat(sample, Schedule.spaced(sampleEvery)))
  return { currentMillis: () => current }
})
