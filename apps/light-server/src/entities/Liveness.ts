/** Whether a row is online now, and when it was last seen. */
import type { Presence } from "./Presence.ts"
import type { PresenceKey } from "./PresenceKey.ts"

export interface Liveness {
  readonly active: boolean
  /** Epoch ms. */
  readonly activeAt: number
}

/**
 * What clients receive about a row: memory has the rows that are online now,
 * the database the time at which a row was last seen.
 */
export const of = (
  presence: Pick<Presence["Type"], "lastSeen">,
  key: PresenceKey,
  stored: { readonly active: boolean; readonly lastActiveAt: number }
): Liveness => {
  const seen = presence.lastSeen(key)
  return seen === undefined
    ? { active: stored.active, activeAt: stored.lastActiveAt }
    : { active: seen.isOnline, activeAt: newestOf(seen.lastSeenMillis, stored.lastActiveAt) }
}

/** A stored time in the future is from before the clock was set back. */
const newestOf = (seenMillis: number, storedMillis: number): number =>
  storedMillis > Date.now() ? seenMillis : Math.max(seenMillis, storedMillis)
