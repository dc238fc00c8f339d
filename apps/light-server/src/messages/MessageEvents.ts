/** The event `message`. */
import { Effect, Layer, Schema } from "effect"
import { cuid, EntityId } from "../database/Ids.ts"
import type { Connection } from "../realtime/Connection.ts"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import * as Message from "./Message.ts"
import { MessageLog } from "./MessageLog.ts"
import { countAck } from "./MessageMetrics.ts"

const SentMessage = Schema.Struct({
  sid: EntityId,
  message: Message.Ciphertext,
  localId: Message.LocalId,
  echoToSender: Schema.optionalWith(Schema.Boolean, { nullable: true, default: () => false })
})

type SentMessage = typeof SentMessage.Type

/** The errors that clients handle. */
type AckError = "invalid-params" | "forbidden" | "session-not-found" | "internal"

const errors: { readonly [reason in Refusal]: AckError } = {
  invalid: "invalid-params",
  "too-large": "invalid-params",
  limited: "internal",
  failed: "internal"
}

const refused = (error: AckError) => {
  countAck("error", error)
  return { ok: false, error }
}

/** Clients accept no other keys. */
const accepted = ({ id, seq, localId }: Message.Message) => {
  countAck("ok", "none")
  return { ok: true, id, seq, localId }
}

export const layer: Layer.Layer<never, never, EventRegistry | MessageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const events = yield* EventRegistry
    const messages = yield* MessageLog
    /** One id for all attempts to store a message, so that each of them stores the same one. */
    const ids = new WeakMap<SentMessage, string>()
    const idOf = (payload: SentMessage) => {
      const id = ids.get(payload) ?? cuid()
      ids.set(payload, id)
      return id
    }
    const sentBy = ({ accountId, id: socketId }: Connection, payload: SentMessage): Message.Sent => ({
      id: idOf(payload),
      accountId,
      sessionId: payload.sid,
      ciphertext: payload.message,
      localId: payload.localId,
      ...(payload.echoToSender ? {} : { exceptSocket: socketId })
    })
    yield* events.on({
      event: "message",
      payload: SentMessage,
      keep: {
        // Clients wait 7.5 s for the ack and send the message again under the same local id. An ack other than `ok` is
        // final for them, and older clients request none.
        withoutAck: "silence",
        isRepeatable: ({ localId }) => localId !== "",
        answerAll: (connection, payloads) =>
          Effect.map(messages.appendAll(payloads.map((payload) => sentBy(connection, payload))), (stored) =>
            stored.map(accepted)
          )
      },
      refusal: (reason) => refused(errors[reason]),
      answer: (connection, payload) =>
        messages.append(sentBy(connection, payload)).pipe(
          Effect.map(accepted),
          Effect.catchTags({
            NotFound: () => Effect.sync(() => refused("session-not-found")),
            Unauthorized: () => Effect.sync(() => refused("forbidden"))
          })
        )
    })
  })
)
