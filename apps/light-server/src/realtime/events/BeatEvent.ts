/**
 * The path of every heartbeat: plain functions, no effect, no database, unless
 * the owner of the row is unknown.
 */
import { Effect } from "effect"
import type { BeatOutcome, Presence } from "../../entities/Presence.ts"
import type { PresenceKey } from "../../entities/PresenceKey.ts"
import { idLengthMax } from "../../database/Ids.ts"
import type { Emitter, Ephemeral } from "../sending/Emitter.ts"
import type { HeardAs, PlainOutcome } from "./EventRegistry.ts"
import type { Ownership } from "../../entities/Ownership.ts"
import * as Room from "../sending/Room.ts"

const fieldIn = (payload: unknown, field: string): unknown =>
  typeof payload === "object" && payload !== null
    ? (payload as { readonly [field: string]: unknown })[field]
    : undefined

/** The id in a payload, unless it is empty or longer than any id. */
export const idIn = (payload: unknown, field: string): string | undefined => {
  const id = fieldIn(payload, field)
  return typeof id === "string" && id.length > 0 && id.length <= idLengthMax ? id : undefined
}

/** The time of the client's clock. `Presence` decides whether it counts. */
export const timeIn = (payload: unknown): number | undefined => {
  const time = fieldIn(payload, "time")
  return typeof time === "number" ? time : undefined
}

export const isThinkingIn = (payload: unknown): boolean => fieldIn(payload, "thinking") === true

const outcomeOf = (beat: BeatOutcome): HeardAs => {
  switch (beat) {
    case "online":
    case "alive":
      return "accepted"
    case "invalid":
      return "invalid"
    case "ancient":
    case "ended":
    case "foreign":
    case "full":
      return "ignored"
  }
}

/** Calls `act` when the row belongs to the account and may be online, which is read unless it is remembered. */
export const whenOwned = (
  ownership: Pick<Ownership["Type"], "remembered" | "check">,
  key: PresenceKey,
  act: () => HeardAs
): PlainOutcome => {
  switch (ownership.remembered(key)) {
    case "owned":
      return act()
    case "foreign":
    case "missing":
    case "revoked":
    case "archived":
      return "ignored"
    case undefined:
      return ownership.check(key).pipe(
        Effect.map((validity) => (validity === "owned" ? act() : "ignored")),
        // The next event tries again.
        Effect.catchTag("ReadFailed", () => Effect.succeed("ignored" as const))
      )
  }
}

/**
 * Accepts a heartbeat for a row of the account, and announces it to its apps. A
 * heartbeat for a missing row, for a row of another account, or for an archived
 * session has no effect.
 */
export const accept = (
  services: {
    readonly presence: Pick<Presence["Type"], "beat" | "lastSeen">
    readonly ownership: Pick<Ownership["Type"], "remembered" | "check">
    readonly emitter: Pick<Emitter["Type"], "ephemeral" | "repeated">
  },
  key: PresenceKey,
  claimedMillis: number,
  activity: (activeAt: number) => Ephemeral
): PlainOutcome => {
  const { presence, ownership, emitter } = services
  return whenOwned(ownership, key, () => {
    const outcome = presence.beat(key, claimedMillis)
    if (outcome === "online" || outcome === "alive") {
      const ephemeral = activity(presence.lastSeen(key)?.lastSeenMillis ?? claimedMillis)
      // Going online must reach apps; that it is still online is repeated in a moment.
      if (outcome === "online") emitter.ephemeral(Room.toApps(key.accountId), ephemeral)
      else emitter.repeated(Room.toApps(key.accountId), ephemeral)
    }
    return outcomeOf(outcome)
  })
}
