/** Updates about machines that clients receive. */
import { Effect } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import type { CurrentText } from "../entities/CompareAndSet.ts"
import * as Liveness from "../entities/Liveness.ts"
import { Ownership } from "../entities/Ownership.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import * as Room from "../realtime/sending/Room.ts"
import * as Machine from "./Machine.ts"
import type { MachineText } from "./MachineStore.ts"

export interface MachineAnnouncements {
  /** `new-machine` for the apps, then `update-machine` for the machine as well. */
  readonly created: (machine: Machine.Machine, cursor: number) => void
  /** `update-machine` for the apps and the machine. */
  readonly replaced: (accountId: string, id: string, text: CurrentText<MachineText>, cursor: number) => void
  /** `update-machine` for the apps and the machine. */
  readonly revoked: (accountId: string, id: string, revokedAt: number, cursor: number) => void
}

export const make: Effect.Effect<MachineAnnouncements, never, Presence | Ownership | Emitter> = Effect.gen(
  function* () {
    const presence = yield* Presence
    const ownership = yield* Ownership
    const emitter = yield* Emitter

    return {
      created: (machine, cursor) => {
        const { accountId, id } = machine
        const key = PresenceKey.machine(accountId, id)
        ownership.learn(key)
        emitter.update(Room.toApps(accountId), {
          seq: cursor,
          body: Machine.newMachine(machine, Liveness.of(presence, key, machine))
        })
        emitter.update(Room.toMachine(accountId, id), {
          seq: cursor,
          body: {
            t: "update-machine",
            machineId: id,
            metadata: { value: machine.metadata, version: machine.metadataVersion }
          }
        })
      },
      revoked: (accountId, id, revokedAt, cursor) =>
        emitter.update(Room.toMachine(accountId, id), {
          seq: cursor,
          body: { t: "update-machine", machineId: id, active: false, revokedAt }
        }),
      replaced: (accountId, id, { text, value, version }, cursor) => {
        const key = PresenceKey.machine(accountId, id)
        // Only a running daemon reports its state.
        if (text === "daemonState") presence.beat(key, Date.now())
        const seen = text === "daemonState" ? presence.lastSeen(key) : undefined
        emitter.update(Room.toMachine(accountId, id), {
          seq: cursor,
          body: {
            t: "update-machine",
            machineId: id,
            [text]: { value, version },
            ...(seen === undefined ? {} : { activeAt: seen.lastSeenMillis })
          }
        })
      }
    }
  }
)
