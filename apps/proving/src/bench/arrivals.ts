/**
 * Open-loop load: calls begin at random times of their own, whether or not the
 * ones before have ended. A stall then shows in every call that was due during
 * it, where a loop of calls would have waited and seen it once.
 */
import { performance } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"

export interface Arrivals {
  readonly perSecond: number
  readonly forMillis: number
  readonly seed: number
}

/** Numbers from 0 to 1 that a seed repeats: mulberry32. */
const randomOf = (seed: number) => {
  let state = seed | 0
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * Calls with the time at which each was due, on the clock of `performance.now()`.
 * Resolves when all of them have ended; the first failure fails it.
 */
export const arrivals = async (
  { forMillis, perSecond, seed }: Arrivals,
  call: (dueAt: number) => Promise<void>
): Promise<void> => {
  const random = randomOf(seed)
  const began = performance.now()
  const running: Array<Promise<void>> = []
  let dueAt = began
  while ((dueAt += (-Math.log(1 - random()) * 1_000) / perSecond) < began + forMillis) {
    const ahead = dueAt - performance.now()
    // A timer is late by up to a millisecond, and lateness counts as latency: so it wakes early and checks again.
    if (ahead > 1) await sleep(ahead - 1)
    while (performance.now() < dueAt) await sleep(0)
    running.push(call(dueAt))
  }
  await Promise.all(running)
}
