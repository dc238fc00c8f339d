/**
 * The online sessions of each account, in memory.
 *
 * Presence knows rows by their id. The list of an account's online sessions must not cost as much as the account has
 * sessions, so this keeps their ids by account, and wraps presence for everything that reports to it.
 */
import { Context, Effect, Layer } from "effect"
import { Presence } from "./Presence.ts"
import type { BeatOutcome } from "./Presence.ts"
import * as PresenceKey from "./PresenceKey.ts"

export class OnlineSessions extends Context.Tag("light-server/OnlineSessions")<
  OnlineSessions,
  {
    /** Ids of the account's sessions that are online now, including those whose row is not updated yet. */
    readonly of: (accountId: string) => ReadonlyArray<string>
  }
>() {}

const make = Effect.gen(function* () {
  const presence = yield* Presence
  const byAccount = new Map<string, Set<string>>()

  const add = ({ accountId, id }: PresenceKey.PresenceKey) => {
    const known = byAccount.get(accountId)
    if (known === undefined) byAccount.set(accountId, new Set([id]))
    else known.add(id)
  }
  const remove = ({ accountId, id }: PresenceKey.PresenceKey) => {
    const known = byAccount.get(accountId)
    known?.delete(id)
    if (known?.size === 0) byAccount.delete(accountId)
  }
  const isOnline = (key: PresenceKey.PresenceKey) => presence.lastSeen(key)?.isOnline === true
  const noted = (key: PresenceKey.PresenceKey, outcome: BeatOutcome): BeatOutcome => {
    if (outcome === "online" && key.kind === "session") add(key)
    return outcome
  }

  // It may be online again when its timeout is announced.
  yield* presence.onTransition(({ key }) => {
    if (key.kind === "session" && !isOnline(key)) remove(key)
  })
  const online = OnlineSessions.of({
    of: (accountId) => {
      const ids = [...(byAccount.get(accountId) ?? [])]
      return ids.filter((id) => {
        const key = PresenceKey.session(accountId, id)
        if (isOnline(key)) return true
        remove(key)
        return false
      })
    }
  })
  const observed = Presence.of({
    ...presence,
    beat: (key, claimedMillis) => noted(key, presence.beat(key, claimedMillis)),
    connected: (key) => noted(key, presence.connected(key)),
    forget: (key) => {
      presence.forget(key)
      if (key.kind === "session") remove(key)
    }
  })
  return Context.make(OnlineSessions, online).pipe(Context.add(Presence, observed))
})

/** Replaces presence by a wrapper that records which sessions come online. */
export const layer: Layer.Layer<OnlineSessions | Presence, never, Presence> = Layer.scopedContext(make)
