/** `/v1/account/storage`: what the account stores, and how much it may. */
import { Effect, Layer } from "effect"
import type { DatabaseReader } from "../database/DatabaseReader.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as StorageUsage from "../quota/StorageUsage.ts"

export const layer: Layer.Layer<never, never, HttpApp | DatabaseReader> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const usageOf = yield* StorageUsage.make
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/account/storage", { config: { priority: "heavy" } }, (request, reply) =>
        http.answer(request, reply, usageOf(request.accountId))
      )
    })
  })
)
