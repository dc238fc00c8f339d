/** The event `message`. */
import { Effect, Layer, Schema } from "effect"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import * as Message from "./Message.ts"
import { MessageLog } from "./MessageLog.ts"
import { countAck } from "./MessageMetrics.ts"
import { WellFormed } from "../SoundValue.ts"

const SentMessage = Schema.Struct({
  sid: WellFormed.pipe(Schema.minLength(1), Schema.maxLength(128)),
  message: Message.Ciphertext,
  localId: Message.LocalId,
  echoToSender: Schema.optionalWith(Schema.Boolean, { nullable: true, default: () => false })
})

/** The words that clients know. */
type AckError = "invalid-params" | "forbidden" | "session-not-found" | "internal"

const errors: { readonly [reason in Refusal]: AckError } = {
  invalid: "invalid-params",
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

/** Messages of one socket that wait for the one before them. An agent catches up with dozens at once. */
const queueLimit = 100

export const layer: Layer.Layer<never, never, EventRegistry | MessageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const events = yield* EventRegistry
    const messages = yield* MessageLog
    yield* events.on({
      event: "message",
      payload: SentMessage,
      queueLimit,
      refusal: (reason) => refused(errors[reason]),
      answer: ({ accountId, id: socketId }, { sid, message, localId, echoToSender }) =>
        messages
          .append({
            accountId,
            sessionId: sid,
            ciphertext: message,
            localId,
            ...(echoToSender ? {} : { exceptSocket: socketId })
          })
          .pipe(
            Effect.map(accepted),
            Effect.catchTags({
              NotFound: () => Effect.sync(() => refused("session-not-found")),
              Unauthorized: () => Effect.sync(() => refused("forbidden"))
            }),
            Effect.catchAll((failure) =>
              Effect.logWarning("A message was not stored", failure).pipe(
                Effect.annotateLogs("code", failure._tag),
                Effect.zipRight(Effect.sync(() => refused("internal")))
              )
            )
          )
    })
  })
)
