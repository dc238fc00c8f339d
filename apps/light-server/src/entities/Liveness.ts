/** Is a row online now, and when was it last seen? */
import type { Presence } from "./Presence.ts"
import type { PresenceKey } from "./PresenceKey.ts"

export interface Liveness {
  readonly active: boolean
  /** Epoch ms. */
  readonly activeAt: number
}

/**
 * What clients are told about a row: memory knows who is online now, the
 * database when somebody was last seen.
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

/** A stored time that lies ahead is from before the clock was set back. */
const newestOf = (seenMillis: number, storedMillis: number): number =>
  storedMillis > Date.now() ? seenMillis : Math.max(seenMillis, storedMillis)
