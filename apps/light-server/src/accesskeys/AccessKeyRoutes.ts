/** `/v1/access-keys`, and the event `access-key-get`. */
import { Effect, Layer, Option, Schema } from "effect"
import { HttpApp } from "../http/HttpApp.ts"
import { EventRegistry, type Refusal } from "../realtime/events/EventRegistry.ts"
import { AccessKeys, type Replaced } from "./AccessKeys.ts"
import type { AccessKey } from "./AccessKeyStore.ts"

const url = "/v1/access-keys/:sessionId/:machineId"

const Params = Schema.Struct({ sessionId: Schema.String, machineId: Schema.String })

const Creation = Schema.Struct({ data: Schema.String })

const Replacement = Schema.Struct({ data: Schema.String, expectedVersion: Schema.NonNegativeInt })

const answerOf = (replaced: Replaced) =>
  replaced._tag === "Replaced"
    ? { success: true, version: replaced.version }
    : {
        success: false,
        error: "version-mismatch",
        currentVersion: replaced.key.dataVersion,
        currentData: replaced.key.data
      }

const shown = (found: Option.Option<AccessKey>) => ({ accessKey: Option.getOrNull(found) })

const routes = Effect.gen(function* () {
  const http = yield* HttpApp
  const keys = yield* AccessKeys
  yield* http.register((app) => {
    app.addHook("onRequest", http.authenticate)
    app.get(url, { schema: { params: Params } }, (request, reply) =>
      http.answer(request, reply, Effect.map(keys.find({ accountId: request.accountId, ...request.params }), shown))
    )
    app.post(url, { schema: { params: Params, body: Creation } }, (request, reply) =>
      http.answer(
        request,
        reply,
        Effect.map(
          keys.create({ accountId: request.accountId, ...request.params }, request.body.data),
          (accessKey) => ({
            success: true,
            accessKey
          })
        )
      )
    )
    app.put(url, { schema: { params: Params, body: Replacement } }, (request, reply) =>
      http.answer(
        request,
        reply,
        Effect.map(
          keys.replace(
            { accountId: request.accountId, ...request.params },
            request.body.data,
            request.body.expectedVersion
          ),
          answerOf
        )
      )
    )
  })
})

const Id = Schema.String.pipe(Schema.minLength(1))

const failed = (error: string) => ({ ok: false, error })

const errors: { readonly [reason in Refusal]: string } = {
  invalid: "Invalid parameters: sessionId and machineId are required",
  "too-large": "Invalid parameters: sessionId and machineId are required",
  limited: "Too many events",
  failed: "Internal error"
}

const event = Effect.gen(function* () {
  const events = yield* EventRegistry
  const keys = yield* AccessKeys
  yield* events.on({
    event: "access-key-get",
    payload: Schema.Struct({ sessionId: Id, machineId: Id }),
    refusal: (reason) => failed(errors[reason]),
    answer: ({ accountId }, place) =>
      keys.find({ accountId, ...place }).pipe(
        Effect.map((found): object => ({ ok: true, ...shown(found) })),
        Effect.catchTag("NotFound", () => Effect.succeed(failed("Session or machine not found")))
      )
  })
})

export const layer: Layer.Layer<never, never, HttpApp | EventRegistry | AccessKeys> = Layer.effectDiscard(
  Effect.zipRight(routes, event)
)
