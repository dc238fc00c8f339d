/**
 * Machines that connect and have no row. The daemon of such a machine may be
 * about to register; it may also have given up, and would then reconnect once a
 * second for ever.
 */
import { Effect } from "effect"
import * as LruCache from "../../LruCache.ts"
import type { PresenceKey } from "../../entities/PresenceKey.ts"

export interface UnregisteredMachines {
  /**
   * Records a refusal. The effect logs the advice, and waits longer each time;
   * the transport is closed afterwards. `undefined`: it is closed at once,
   * because it is the first time, or because too many wait.
   */
  readonly refuse: (key: PresenceKey) => Effect.Effect<void> | undefined
}

/** Machines that are remembered. The least recently seen one is forgotten first. */
const machinesMax = 10_000

/** After this time without an attempt, a machine starts again from zero. */
const rememberedMillis = 10 * 60_000

/** Below the 10 s after which a transport without a handshake is closed. */
const delayMillisMax = 8000

/** The first attempts may be those of a daemon that registers at the same time. */
const quietCount = 2

/** Refusals that are logged: the third one of a machine, and then every hundredth. */
const isLogged = (count: number) => count === quietCount + 1 || count % 100 === 0

export const make = (waitingMax: number): UnregisteredMachines => {
  const counts = LruCache.make<number>(machinesMax, { ttl: rememberedMillis })
  let waitingCount = 0
  return {
    refuse: ({ accountId, id }) => {
      const name = `${accountId}:${id}`
      const count = (counts.get(name) ?? 0) + 1
      counts.set(name, count)
      const log = isLogged(count)
        ? Effect.logWarning(
            "A machine connects and is not registered: restart its daemon, or log in on it again, so that it registers"
          ).pipe(Effect.annotateLogs({ code: "MACHINE_UNREGISTERED", machineId: id, refusals: count }))
        : Effect.void
      if (waitingCount >= waitingMax) return isLogged(count) ? log : undefined
      if (count <= quietCount) return undefined
      waitingCount += 1
      const delayMillis = Math.min(delayMillisMax, 500 * 2 ** Math.min(count - quietCount, 10))
      return Effect.zipRight(log, Effect.sleep(delayMillis)).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            waitingCount -= 1
          })
        )
      )
    }
  }
}
