/**
 * Presence with other replicas: a row is tracked where it is connected. A replica that remembers a row from before
 * forgets it when the row comes online on another one, so that it is not announced as offline from here.
 */
import { Effect, Layer, Queue } from "effect"
import { Replicas } from "../replicas/ReplicaBus.ts"
import { type BeatOutcome, Presence } from "./Presence.ts"
import type { PresenceKey } from "./PresenceKey.ts"

/** What happened to a row on one replica. */
type Notice =
  | { readonly kind: "online" | "forgotten"; readonly key: PresenceKey }
  | { readonly kind: "ended"; readonly key: PresenceKey; readonly atMillis: number }

const topic = "presence"

const textOf = ({ accountId, id, kind }: PresenceKey) => `${kind}:${accountId}:${id}`

/** The sockets of each row. */
const makeConnections = () => {
  const counts = new Map<string, number>()
  return {
    change: (key: PresenceKey, change: 1 | -1) => {
      const count = (counts.get(textOf(key)) ?? 0) + change
      if (count > 0) counts.set(textOf(key), count)
      else counts.delete(textOf(key))
    },
    has: (key: PresenceKey) => counts.has(textOf(key))
  }
}

/** Ends from other replicas that wait for their write. What is beyond this is written by the replica that sent it. */
const endsMax = 1000

const make = Effect.gen(function* () {
  const presence = yield* Presence
  const replicas = yield* Replicas
  if (replicas.isAlone) return presence
  const connections = makeConnections()
  const ends = yield* Queue.sliding<Extract<Notice, { readonly kind: "ended" }>>(endsMax)
  const notify = (notice: Notice) => void replicas.send(topic, notice)
  const noted = (key: PresenceKey, outcome: BeatOutcome): BeatOutcome => {
    if (outcome === "online") notify({ kind: "online", key })
    return outcome
  }
  const receive = (notice: Notice) => {
    if (presence.lastSeen(notice.key) === undefined) return
    if (notice.kind === "ended") Queue.unsafeOffer(ends, notice)
    else if (notice.kind === "forgotten" || !connections.has(notice.key)) presence.forget(notice.key)
  }
  yield* replicas.listen(topic, (notice) => receive(notice as Notice))
  // Only in memory would be enough, and nothing but `end` does it.
  yield* Effect.forkScoped(
    Effect.forever(Effect.flatMap(Queue.take(ends), ({ atMillis, key }) => presence.end(key, atMillis)))
  )
  return Presence.of({
    ...presence,
    beat: (key, claimedMillis) => noted(key, presence.beat(key, claimedMillis)),
    seen: (key) => noted(key, presence.seen(key)),
    connected: (key) => {
      connections.change(key, 1)
      // Also one that is still remembered here: it may have been elsewhere in the meantime.
      notify({ kind: "online", key })
      return presence.connected(key)
    },
    disconnected: (key) => {
      connections.change(key, -1)
      presence.disconnected(key)
    },
    end: (key, atMillis) =>
      Effect.suspend(() => {
        notify({ kind: "ended", key, atMillis })
        return presence.end(key, atMillis)
      }),
    forget: (key) => {
      notify({ kind: "forgotten", key })
      presence.forget(key)
    }
  })
})

/** Replaces presence by one that other replicas know of, if there are any. */
export const layer: Layer.Layer<Presence, never, Presence> = Layer.scoped(Presence, make)
