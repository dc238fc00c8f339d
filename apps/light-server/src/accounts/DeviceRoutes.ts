/** `GET /v1/account/devices`, and `DELETE /v1/account/devices/:id`. */
import { Effect, Layer, Schema } from "effect"
import * as AnyBody from "../http/AnyBody.ts"
import { digestOf } from "../door/TokenDigest.ts"
import { HttpApp, tokenOf } from "../http/HttpApp.ts"
import { Devices } from "./Devices.ts"

const Params = Schema.Struct({ id: Schema.String })

export const layer: Layer.Layer<never, never, HttpApp | Devices> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const devices = yield* Devices
    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/account/devices", (request, reply) =>
        http.answer(
          request,
          reply,
          Effect.map(devices.list(request.accountId), (known) => {
            const current = digestOf(tokenOf(request))
            return { devices: known.map((device) => ({ ...device, isCurrent: device.id === current })) }
          })
        )
      )
    })
    yield* http.register((app) => {
      AnyBody.ignore(app)
      app.addHook("onRequest", http.authenticate)
      app.delete("/v1/account/devices/:id", { schema: { params: Params } }, (request, reply) =>
        http.answer(request, reply, Effect.as(devices.revoke(request.accountId, request.params.id), { success: true }))
      )
    })
  })
)
