/**
 * Limits on times that are measured from outside. They are meaningful only where the box has processor time to spare:
 * on a box that is too busy a missed limit is inconclusive, and is reported with the load instead.
 */
import { AssertionError } from "node:assert"
import os from "node:os"

/**
 * From this number of runnable threads per processor on, a missed limit is attributed to the box, not to the server. A
 * test that has the box to itself stays below it.
 */
const busyFrom = 1.5

/** Runnable threads per processor over the last minute. */
export const load = (): number => Math.round(((os.loadavg()[0] ?? 0) / os.availableParallelism()) * 10) / 10

/** Why a missed limit proves nothing here; `undefined` where it does. */
export const doubt = (loadNow: number = load()): string | undefined =>
  loadNow < busyFrom ? undefined : `inconclusive, box too busy (${loadNow} runnable threads per processor)`

/** Throws when the limit is missed, unless the box is too busy; then it prints so, and the test goes on. */
export const holds = (what: string, value: number, limit: number, loadNow: number = load()): void => {
  // A value that is not a number was never measured.
  if (value < limit) return
  const missed = `${what}: ${Math.round(value)}, which is not below ${Math.round(limit)}`
  const doubted = doubt(loadNow)
  if (doubted === undefined || Number.isNaN(value)) throw new AssertionError({ message: missed })
  console.warn(`${doubted}: ${missed}`)
}
