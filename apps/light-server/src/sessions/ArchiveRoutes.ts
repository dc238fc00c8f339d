/** The routes of the archive. */
import { Effect, Layer, Schema } from "effect"
import * as AnyBody from "../http/AnyBody.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import { SessionLists } from "./SessionLists.ts"
import { SessionRegistry } from "./SessionRegistry.ts"
import { PageQuery } from "./SessionRoutes.ts"

const Params = Schema.Struct({ id: Schema.String })

export const layer: Layer.Layer<never, never, HttpApp | SessionRegistry | SessionLists> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const registry = yield* SessionRegistry
    const lists = yield* SessionLists
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      AnyBody.ignore(app)
      app.get(
        "/v2/sessions/archived",
        { config: { priority: "heavy" }, schema: { querystring: PageQuery } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(lists.pageArchived(request.accountId, request.query.cursor, request.query.limit), (page) =>
              JsonBytes.of(reply, page)
            )
          )
      )
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
