/**
 * Distinguishes a second request to end from the echo of the first one.
 *
 * npm passes a signal on to its child, and a terminal or a supervisor sends it to both. So below npm one keypress
 * arrives twice, and the second one must not cut the shutdown short.
 */

/** How long after a request its echo may arrive, on a machine that is busy. */
const echoMillis = 1000

/** `first`: end in order. `echo`: the same request once more. `again`: end at once. */
export type Meaning = "first" | "echo" | "again"

export interface SignalRepetition {
  /** `nowMillis` is from a monotonic clock. */
  readonly hear: (nowMillis: number) => Meaning
}

export const make = (isBelowNpm: boolean): SignalRepetition => {
  let firstMillis: number | undefined
  let hasEchoed = !isBelowNpm
  return {
    hear: (nowMillis) => {
      if (firstMillis === undefined) {
        firstMillis = nowMillis
        return "first"
      }
      if (hasEchoed || nowMillis - firstMillis > echoMillis) return "again"
      hasEchoed = true
      return "echo"
    }
  }
}
