/** Registrations of new machines that arrive at random times, and how long each took from when it was due. */
import * as hdr from "hdr-histogram-js"
import { arrivals } from "../../arrivals.ts"

export interface Turn {
  readonly perSecond: number
  readonly forMillis: number
  readonly seed: number
}

export const makeHistogram = (): hdr.Histogram => hdr.build({ numberOfSignificantValueDigits: 3 })

/** Adds microseconds to the histogram. Every registration must be answered. */
export const record = (latency: hdr.Histogram, turn: Turn, register: () => Promise<void>): Promise<void> =>
  arrivals(turn, async (dueAt) => {
    await register()
    latency.recordValue(Math.max(1, Math.round((performance.now() - dueAt) * 1_000)))
  })

export const percentileMillis = (latency: hdr.Histogram, percentile: number): number =>
  latency.getValueAtPercentile(percentile) / 1_000
