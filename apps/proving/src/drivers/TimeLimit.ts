/**
 * Limits on times that are measured from outside. They say something about the server only where the box has processor
 * time to give: on a box that is too busy a missed limit is inconclusive, and is reported with the load instead.
 */
import { AssertionError } from "node:assert"
import os from "node:os"

/** Runnable threads per processor from which on a missed limit says more about the box than about the server. */
const busyFrom = 2

/** Runnable threads per processor over the last minute. */
export const load = (): number => Math.round(((os.loadavg()[0] ?? 0) / os.availableParallelism()) * 10) / 10

/** Why a missed limit proves nothing here; nothing where it does. */
export const doubt = (loadNow: number = load()): string | undefined =>
  loadNow < busyFrom ? undefined : `inconclusive, box too busy (${loadNow} runnable threads per processor)`

/** Throws when the limit is missed, unless the box is too busy; then it prints so, and the test goes on. */
export const holds = (what: string, value: number, limit: number, loadNow: number = load()): void => {
  // A figure that is no number was never measured.
  if (value < limit) return
  const missed = `${what}: ${Math.round(value)}, which is not below ${Math.round(limit)}`
  const doubted = doubt(loadNow)
  if (doubted === undefined || Number.isNaN(value)) throw new AssertionError({ message: missed })
  console.warn(`${doubted}: ${missed}`)
}
