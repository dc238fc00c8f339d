/** `GET /v2/changes` and `GET /v2/cursor`. */
import { Effect, Layer, Schema } from "effect"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import * as Query from "../http/Query.ts"
import { ChangeFeed } from "./ChangeFeed.ts"
import { countRequest } from "./ChangeMetrics.ts"

const PageQuery = Schema.Struct({
  after: Schema.optionalWith(Query.whole(0), { default: () => 0 }),
  limit: Query.limit(500, 200)
})

export const layer: Layer.Layer<never, never, HttpApp | ChangeFeed> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const feed = yield* ChangeFeed
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v2/changes", { config: { priority: "heavy" }, schema: { querystring: PageQuery } }, (request, reply) =>
        http.answer(
          request,
          reply,
          feed.page(request.accountId, request.query.after, request.query.limit).pipe(
            Effect.tapErrorTag("CursorGone", () => Effect.sync(() => countRequest("cursor-gone", 0))),
            Effect.map(({ count, json }) => {
              countRequest("ok", count)
              return JsonBytes.of(reply, json)
            })
          )
        )
      )
      app.get("/v2/cursor", (request, reply) => http.answer(request, reply, feed.bounds(request.accountId)))
    })
  })
)
