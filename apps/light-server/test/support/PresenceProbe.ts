/**
 * Presence in memory, with a record of its calls.
 */
import { Context, Effect, Layer } from "effect"
import { type BeatOutcome, Presence, type Transition } from "../../src/entities/Presence.ts"
import type { PresenceKey } from "../../src/entities/PresenceKey.ts"

export class PresenceProbe extends Context.Tag("test/PresenceProbe")<
  PresenceProbe,
  {
    /** `beat session s1`, `connected machine m1`, …, in order. */
    readonly calls: Array<string>
    /** The results of heartbeats; by default `online` first, then `alive`. */
    outcome: BeatOutcome | undefined
    readonly transition: (transition: Transition) => void
    /** Resolves when a connection of the row was reported closed. */
    readonly nextDisconnect: Promise<string>
  }
>() {}

const textOf = ({ kind, id }: PresenceKey) => `${kind} ${id}`

const make = Effect.sync(() => {
  const seen = new Map<string, { readonly isOnline: boolean; readonly lastSeenMillis: number }>()
  const listeners = new Set<(transition: Transition) => void>()
  let noteDisconnect: (row: string) => void = () => {}
  const probe: PresenceProbe["Type"] = {
    calls: [],
    outcome: undefined,
    transition: (transition) => {
      for (const listener of listeners) listener(transition)
    },
    nextDisconnect: new Promise((resolve) => {
      noteDisconnect = resolve
    })
  }
  const beat = (key: PresenceKey, at: number): BeatOutcome => {
    if (probe.outcome !== undefined) return probe.outcome
    const before = seen.get(textOf(key))
    seen.set(textOf(key), { isOnline: true, lastSeenMillis: Math.max(before?.lastSeenMillis ?? 0, at) })
    return before?.isOnline === true ? "alive" : "online"
  }
  const presence = Presence.of({
    beat: (key, claimedMillis) => {
      probe.calls.push(`beat ${textOf(key)}`)
      return beat(key, claimedMillis)
    },
    seen: (key) => (seen.get(textOf(key))?.isOnline === false ? "ended" : beat(key, 0)),
    connected: (key) => {
      probe.calls.push(`connected ${textOf(key)}`)
      return beat(key, Date.now())
    },
    disconnected: (key) => {
      probe.calls.push(`disconnected ${textOf(key)}`)
      noteDisconnect(textOf(key))
    },
    end: (key, at) =>
      Effect.sync(() => {
        probe.calls.push(`end ${textOf(key)}`)
        seen.set(textOf(key), { isOnline: false, lastSeenMillis: at })
      }),
    forget: (key) => {
      probe.calls.push(`forget ${textOf(key)}`)
      seen.delete(textOf(key))
    },
    lastSeen: (key) => seen.get(textOf(key)),
    onTransition: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          listeners.add(listener)
        }),
        () => Effect.sync(() => listeners.delete(listener))
      ),
    flush: Effect.dieMessage("not used by the server"),
    status: Effect.dieMessage("not used by the server")
  })
  return Context.make(Presence, presence).pipe(Context.add(PresenceProbe, probe))
})

export const layer: Layer.Layer<Presence | PresenceProbe> = Layer.effectContext(make)
