/**
 * What agents say over their sockets.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { Presence } from "presence-effect/Presence"
import * as PresenceKey from "presence-effect/PresenceKey"
import { Emitter } from "../realtime/Emitter.ts"
import { EventRegistry } from "../realtime/EventRegistry.ts"
import * as Heartbeat from "../realtime/Heartbeat.ts"
import { Ownership } from "../realtime/Ownership.ts"
import { SessionRegistry } from "./SessionRegistry.ts"

const SessionEnd = Schema.Struct({
  sid: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(128)),
  time: Schema.NonNegative.pipe(Schema.finite())
})

/**
 * @category layers
 * @since 0.1.0
 */
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

      yield* events.on({
        event: "session-end",
        payload: SessionEnd,
        // The event knows no ack.
        refusal: () => undefined,
        answer: ({ accountId }, { sid, time }) =>
          sessions
            .end(accountId, sid, time)
            .pipe(
              Effect.catchTag("ReadFailed", (failure) =>
                Effect.logWarning("The end of a session was lost", failure).pipe(
                  Effect.annotateLogs("code", failure._tag)
                )
              )
            )
      })
    })
  )
