/** `/v3/sessions/:id/messages`: messages in batches, and pages whose cursor is the number of a message. */
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

const path = "/v3/sessions/:id/messages"

const SessionParams = Schema.Struct({ id: Schema.String })

const Batch = Schema.Struct({
  messages: Schema.Array(Schema.Struct({ content: Message.Ciphertext, localId: Message.GivenLocalId })).pipe(
    Schema.minItems(1),
    Schema.maxItems(100)
  )
})

const PageQuery = Schema.Struct({
  limit: Query.limit(500, 100),
  before_seq: Schema.optional(Query.whole(1)),
  after_seq: Schema.optional(Query.whole(0))
})

const twoWays = new InvalidInput({ error: "Cannot specify both after_seq and before_seq" })

/** Without a direction from the first message on: this is how clients begin a catch-up. */
const rangeOf = ({ after_seq, before_seq }: typeof PageQuery.Type): Effect.Effect<Range, InvalidInput> => {
  if (before_seq === undefined) return Effect.succeed({ after: after_seq ?? 0 })
  return after_seq === undefined ? Effect.succeed({ before: before_seq }) : twoWays
}

export const layer: Layer.Layer<never, never, HttpApp | MessageLog> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const messages = yield* MessageLog
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.post(
        path,
        { bodyLimit: http.messageLimitBytes, schema: { params: SessionParams, body: Batch } },
        (request, reply) => {
          const { accountId, body, params } = request
          const sent = body.messages.map(({ content, localId }) => ({
            id: cuid(),
            accountId,
            sessionId: params.id,
            ciphertext: content,
            localId
          }))
          const receipts = messages.appendBatch(accountId, params.id, sent)
          return http.answer(
            request,
            reply,
            Effect.map(receipts, (messages) => ({ messages }))
          )
        }
      )
      app.get(
        path,
        { config: { priority: "heavy" }, schema: { params: SessionParams, querystring: PageQuery } },
        (request, reply) => {
          const { accountId, params, query } = request
          const page = Effect.flatMap(rangeOf(query), (range) =>
            messages.slice(accountId, params.id, range, query.limit)
          )
          return http.answer(
            request,
            reply,
            Effect.map(page, ({ count, json }) => {
              if (query.after_seq !== undefined) countCatchUp(count)
              return JsonBytes.of(reply, json)
            })
          )
        }
      )
    })
  })
)
