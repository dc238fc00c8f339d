/** Events that daemons send. */
import { Effect, Layer, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import { EntityId } from "../database/Ids.ts"
import * as CompareAndSet from "../entities/CompareAndSet.ts"
import { machineRevoked } from "../Failure.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import * as Heartbeat from "../realtime/events/BeatEvent.ts"
import { Ownership } from "../entities/Ownership.ts"
import { MachineRegistry } from "./MachineRegistry.ts"
import type { MachineText } from "./MachineStore.ts"
import { WellFormed } from "../SoundValue.ts"

const Version = Schema.NonNegativeInt

const MetadataUpdate = Schema.Struct({ machineId: EntityId, metadata: WellFormed, expectedVersion: Version })

const StateUpdate = Schema.Struct({ machineId: EntityId, daemonState: WellFormed, expectedVersion: Version })

const messages: { readonly [reason in Refusal]: string } = {
  invalid: "Invalid parameters",
  "too-large": "Parameters are too large",
  limited: "Too many events",
  failed: "Internal error"
}

/** Clients wait for the ack without a limit, and send the update again over the next transport. */
const updates = { withoutAck: "close", isRepeatable: () => true } as const

const refusal = (reason: Refusal) => ({ result: "error", message: messages[reason] })

export const layer: Layer.Layer<never, never, EventRegistry | MachineRegistry | Presence | Ownership | Emitter> =
  Layer.effectDiscard(
    Effect.gen(function* () {
      const events = yield* EventRegistry
      const machines = yield* MachineRegistry
      const heartbeats = {
        presence: yield* Presence,
        ownership: yield* Ownership,
        emitter: yield* Emitter
      }

      yield* events.onPlain("machine-alive", (connection, payload) => {
        const id = Heartbeat.idIn(payload, "machineId")
        const time = Heartbeat.timeIn(payload)
        if (id === undefined || time === undefined) return "invalid"
        return Heartbeat.accept(heartbeats, PresenceKey.machine(connection.accountId, id), time, (activeAt) => ({
          type: "machine-activity",
          id,
          active: true,
          activeAt
        }))
      })

      const replace = (accountId: string, id: string, text: MachineText, value: string, expectedVersion: number) =>
        machines.replace({ accountId, id, text, value, expectedVersion }).pipe(
          Effect.map(CompareAndSet.ackOf),
          Effect.catchTags({
            NotFound: () => Effect.succeed({ result: "error", message: "Machine not found" }),
            MachineRevoked: () => Effect.succeed({ result: "error", message: machineRevoked })
          })
        )

      yield* events.on({
        event: "machine-update-metadata",
        payload: MetadataUpdate,
        keep: updates,
        refusal,
        answer: ({ accountId }, { machineId, metadata, expectedVersion }) =>
          replace(accountId, machineId, "metadata", metadata, expectedVersion)
      })
      yield* events.on({
        event: "machine-update-state",
        payload: StateUpdate,
        keep: updates,
        refusal,
        answer: ({ accountId }, { machineId, daemonState, expectedVersion }) =>
          replace(accountId, machineId, "daemonState", daemonState, expectedVersion)
      })
    })
  )
