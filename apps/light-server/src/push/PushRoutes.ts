/** `/v1/push-tokens`: push tokens of an account's phones. Clients send the notifications themselves. */
import { Effect, Layer, Schema } from "effect"
import { HttpApp } from "../http/HttpApp.ts"
import { PushTokenStore } from "./PushTokenStore.ts"

const Token = Schema.String.pipe(Schema.minLength(1), Schema.maxLength(4096))

const Params = Schema.Struct({ token: Token })

const done = { success: true }

export const layer: Layer.Layer<never, never, HttpApp | PushTokenStore> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const store = yield* PushTokenStore
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/push-tokens", (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(store.list(request.accountId), (tokens) => ({ tokens }))
        )
      )
      app.post("/v1/push-tokens", { schema: { body: Schema.Struct({ token: Token }) } }, (request, reply) =>
        http.answer(request, reply, Effect.as(store.add(request.accountId, request.body.token), done))
      )
      app.delete("/v1/push-tokens/:token", { schema: { params: Params } }, (request, reply) =>
        http.answer(request, reply, Effect.as(store.remove(request.accountId, request.params.token), done))
      )
    })
  })
)
