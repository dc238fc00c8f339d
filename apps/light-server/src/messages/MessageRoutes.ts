/** The messages of a session over HTTP. */
import { Effect, Layer, Schema } from "effect"
import { cuid } from "../database/Ids.ts"
import { InvalidInput } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as Query from "../http/Query.ts"
import * as Message from "./Message.ts"
import { MessageLog } from "./MessageLog.ts"
import { countCatchUp } from "./MessageMetrics.ts"
import type { Range } from "./MessageStore.ts"

const SessionParams = Schema.Struct({ id: Schema.String })

const NewMessage = Schema.Struct({ ciphertext: Message.Ciphertext, localId: Message.LocalId })

const PageQuery = Schema.Struct({
  limit: Query.limit(500, 150),
  beforeSeq: Schema.optional(Query.whole(1)),
  afterSeq: Schema.optional(Query.whole(0))
}).pipe(
  Schema.filter(({ beforeSeq, afterSeq }) =>
    beforeSeq === undefined || afterSeq === undefined ? undefined : "takes one of beforeSeq and afterSeq, not both"
  )
)

const rangeOf = ({ beforeSeq, afterSeq }: typeof PageQuery.Type): Range =>
  afterSeq === undefined ? { before: beforeSeq ?? Number.MAX_SAFE_INTEGER } : { after: afterSeq }

/** The local id of a message without one is the key of its request. */
const localIdOf = (localId: string, key: string | ReadonlyArray<string> | undefined) => {
  if (localId !== "" || key === undefined) return Effect.succeed(localId)
  return typeof key === "string" && key.length <= Message.localIdLengthMax
    ? Effect.succeed(key)
    : Effect.fail(new InvalidInput({ error: "Invalid parameters" }))
}

export const layer: Layer.Layer<never, never, HttpApp | MessageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const messages = yield* MessageLog
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.post(
        "/v2/sessions/:id/messages",
        { bodyLimit: http.messageLimitBytes, schema: { params: SessionParams, body: NewMessage } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.gen(function* () {
              const localId = yield* localIdOf(request.body.localId, request.headers["idempotency-key"])
              const { id, seq, createdAt, ...message } = yield* messages.append({
                id: cuid(),
                accountId: request.accountId,
                sessionId: request.params.id,
                ciphertext: request.body.ciphertext,
                localId
              })
              return { message: { id, seq, localId: message.localId, createdAt } }
            })
          )
      )
      app.get(
        "/v1/sessions/:id/messages",
        { config: { priority: "heavy" }, schema: { params: SessionParams, querystring: PageQuery } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(
              messages.page(request.accountId, request.params.id, rangeOf(request.query), request.query.limit),
              ({ count, json }) => {
                if (request.query.afterSeq !== undefined) countCatchUp(count)
                return JsonBytes.of(reply, json)
              }
            )
          )
      )
    })
  })
)
