/** The routes that archive and unarchive a session. */
import { Effect, Layer, Schema } from "effect"
import * as AnyBody from "../http/AnyBody.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { SessionRegistry } from "./SessionRegistry.ts"

const Params = Schema.Struct({ id: Schema.String })

export const layer: Layer.Layer<never, never, HttpApp | SessionRegistry> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const registry = yield* SessionRegistry
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      AnyBody.ignore(app)
      app.post("/v2/sessions/:id/archive", { schema: { params: Params } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(registry.archive(request.accountId, request.params.id), (archivedAt) => ({
            success: true,
            archivedAt
          }))
        )
      )
      app.post("/v2/sessions/:id/unarchive", { schema: { params: Params } }, (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.as(registry.unarchive(request.accountId, request.params.id), { success: true, archivedAt: null })
        )
      )
    })
  })
)
