/**
 * One sign of life: which claimed times are accepted, and the result.
 *
 * @since 0.1.0
 */

/**
 * The result of a heartbeat.
 *
 * - `online`: accepted, and the row was not online before.
 * - `alive`: accepted; the row was online already.
 * - `invalid`: the time is no finite, non-negative number, or the row is not tracked and its key cannot be stored: an
 *   id with a lone surrogate, or no account where the kind has one. Ignored.
 * - `ancient`: older than the acceptance window, and the row has no open connection. Ignored.
 * - `ended`: the row ended, and this is not a beat that is newer than the end. Ignored.
 * - `foreign`: the id names a row of another account. Ignored.
 * - `full`: a new row, and the registry holds as many as it may. Ignored.
 *
 * @category models
 * @since 0.1.0
 */
export type BeatOutcome = "online" | "alive" | "invalid" | "ancient" | "ended" | "foreign" | "full"

/**
 * Why a claimed time is not accepted.
 *
 * @category models
 * @since 0.1.0
 */
export type ClaimRefusal = "invalid" | "ancient"

/**
 * Decides which time a claim stands for, in epoch milliseconds of the server's
 * clock. A time in the future becomes now: a client whose clock runs ahead is
 * alive, but not for longer than other clients. Fractions are cut.
 *
 * **Details**
 *
 * - Allocates nothing: it runs for every heartbeat.
 * - `ancient`: more than `windowMillis` before now.
 * - `invalid`: not finite, or negative.
 *
 * @example
 * import * as Heartbeat from "presence-effect/presence/Heartbeat"
 *
 * console.log(Heartbeat.accept(1_500, 1_000, 600_000) === 1_000)
 *
 * @category getters
 * @since 0.1.0
 */
export const accept = (claimedMillis: number, nowMillis: number, windowMillis: number): number | ClaimRefusal => {
  if (!Number.isFinite(claimedMillis) || claimedMillis < 0) return "invalid"
  if (claimedMillis >= nowMillis) return nowMillis
  if (nowMillis - claimedMillis > windowMillis) return "ancient"
  return Math.trunc(claimedMillis)
}
