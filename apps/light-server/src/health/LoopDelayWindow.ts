/**
 * How late timers ran within the last minute. The window moves by itself: a
 * reader that reset it would take values away from the others.
 */
import { Effect, Schedule, type Scope } from "effect"
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks"

/** Two histograms take turns: the one that is read has counted for 30 to 60 s. */
const turnEvery = "30 seconds"

export interface LoopDelayWindow {
  /** `percentile`: 0 to 100. */
  readonly seconds: (percentile: number) => number
}

type Measured = Pick<IntervalHistogram, "count" | "percentile" | "reset">

/** The same of two histograms that count the same delays. */
export const fromHistograms = (older: Measured, newer: Measured): Effect.Effect<LoopDelayWindow, never, Scope.Scope> =>
  Effect.gen(function* () {
    const turns = [older, newer]
    const turn = Effect.sync(() => {
      const oldest = turns.shift()
      if (oldest === undefined) return
      oldest.reset()
      turns.push(oldest)
    })
    yield* Effect.forkScoped(Effect.schedule(turn, Schedule.spaced(turnEvery)))
    return {
      seconds: (percentile) => {
        const [read] = turns
        return read === undefined || read.count === 0 ? 0 : read.percentile(percentile) / 1e9
      }
    }
  })

const monitor = Effect.acquireRelease(
  Effect.sync(() => {
    const histogram = monitorEventLoopDelay({ resolution: 20 })
    histogram.enable()
    return histogram
  }),
  (histogram) => Effect.sync(() => histogram.disable())
)

export const make: Effect.Effect<LoopDelayWindow, never, Scope.Scope> = Effect.flatMap(
  Effect.all([monitor, monitor]),
  ([older, newer]) => fromHistograms(older, newer)
)
