/** Events that agents send. */
import { Effect, Layer, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import { EntityId } from "../database/Ids.ts"
import * as CompareAndSet from "../entities/CompareAndSet.ts"
import type { Connection } from "../realtime/Connection.ts"
import { Emitter } from "../realtime/sending/Emitter.ts"
import { EventRegistry } from "../realtime/events/EventRegistry.ts"
import * as Heartbeat from "../realtime/events/BeatEvent.ts"
import { Ownership } from "../entities/Ownership.ts"
import { SessionRegistry } from "./SessionRegistry.ts"
import type { TextChange } from "./SessionStore.ts"
import { WellFormed } from "../SoundValue.ts"

const SessionEnd = Schema.Struct({ sid: EntityId, time: Schema.NonNegative.pipe(Schema.finite()) })

const Version = Schema.NonNegativeInt

const MetadataUpdate = Schema.Struct({ sid: EntityId, metadata: WellFormed, expectedVersion: Version })

const StateUpdate = Schema.Struct({
  sid: EntityId,
  agentState: Schema.NullOr(WellFormed),
  expectedVersion: Version
})

/** Clients wait for the ack without a limit, and send the update again over the next transport. */
const updates = { withoutAck: "close", isRepeatable: () => true } as const

/** Clients accept no other keys. */
const refusal = () => ({ result: "error" })

/** Answers with the ack of the event. */
const replaceIn =
  (sessions: SessionRegistry["Type"]) =>
  ({ accountId, id: sender }: Connection, id: string, change: TextChange) =>
    sessions.replace({ accountId, id, changes: [change] }, sender).pipe(
      Effect.map(CompareAndSet.ackOf),
      Effect.catchTag("NotFound", () => Effect.succeed({ result: "forbidden" }))
    )

export const layer: Layer.Layer<never, never, EventRegistry | SessionRegistry | Presence | Ownership | Emitter> =
  Layer.effectDiscard(
    Effect.gen(function* () {
      const events = yield* EventRegistry
      const sessions = yield* SessionRegistry
      const heartbeats = {
        presence: yield* Presence,
        ownership: yield* Ownership,
        emitter: yield* Emitter
      }

      yield* events.onPlain("session-alive", (connection, payload) => {
        const id = Heartbeat.idIn(payload, "sid")
        const time = Heartbeat.timeIn(payload)
        if (id === undefined || time === undefined) return "invalid"
        return Heartbeat.accept(heartbeats, PresenceKey.session(connection.accountId, id), time, (activeAt) => ({
          type: "activity",
          id,
          active: true,
          activeAt,
          thinking: Heartbeat.isThinkingIn(payload)
        }))
      })

      const replace = replaceIn(sessions)

      yield* events.on({
        event: "update-metadata",
        payload: MetadataUpdate,
        keep: updates,
        refusal,
        answer: (connection, { sid, metadata: value, expectedVersion }) =>
          replace(connection, sid, { text: "metadata", value, expectedVersion })
      })
      yield* events.on({
        event: "update-state",
        payload: StateUpdate,
        keep: updates,
        refusal,
        answer: (connection, { sid, agentState: value, expectedVersion }) =>
          replace(connection, sid, { text: "agentState", value, expectedVersion })
      })

      yield* events.on({
        event: "session-end",
        payload: SessionEnd,
        keep: { withoutAck: "silence", isRepeatable: () => true },
        // The event has no ack.
        refusal: () => undefined,
        answer: ({ accountId }, { sid, time }) => sessions.end(accountId, sid, time)
      })
    })
  )
