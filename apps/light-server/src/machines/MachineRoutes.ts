/**
 * `/v1/machines`: registration, a write that must never wait behind presence,
 * and the reads.
 */
import { Duration, Effect, Layer, Schema } from "effect"
import * as TruncationHeader from "../http/TruncationHeader.ts"
import * as AnyBody from "../http/AnyBody.ts"
import { HttpApp } from "../http/HttpApp.ts"
import * as JsonBytes from "../http/JsonBytes.ts"
import { MachineLists } from "./MachineLists.ts"
import { Registration } from "./Machine.ts"
import { MachineRegistry } from "./MachineRegistry.ts"
import { persist } from "../http/PassingFailure.ts"

/**
 * A daemon that cannot register goes on without its machine, and some never try
 * again. So a registration is retried for as long as daemons wait, which is 10
 * s: the last attempt begins early enough to end before that. A known machine
 * needs no write.
 */
const registerWithin = "6500 millis"

const Params = Schema.Struct({ id: Schema.String })

export interface Options {
  /** How long a registration is retried after a temporary failure. */
  readonly registerWithin?: Duration.DurationInput
}

/** Routes without a body. */
const addRevocation = (http: HttpApp["Type"], machines: MachineRegistry["Type"]) =>
  http.register((app) => {
    app.addHook("onRequest", http.authenticate)
    AnyBody.ignore(app)
    app.post("/v1/machines/:id/revoke", { schema: { params: Params } }, (request, reply) =>
      http.answer(
        request,
        reply,
        Effect.map(machines.revoke(request.accountId, request.params.id), (machine) => ({ machine }))
      )
    )
    // A row that is deleted is created again by the next registration of its daemon, so deleting is the same as
    // revoking.
    app.delete("/v1/machines/:id", { schema: { params: Params } }, (request, reply) =>
      http.answer(request, reply, Effect.as(machines.revoke(request.accountId, request.params.id), { success: true }))
    )
  })

export const layer = (options: Options = {}): Layer.Layer<never, never, HttpApp | MachineRegistry | MachineLists> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const http = yield* HttpApp
      const machines = yield* MachineRegistry
      const lists = yield* MachineLists
      yield* http.register((app) => {
        app.addHook("onRequest", http.authenticate)
        app.post(
          "/v1/machines",
          { config: { priority: "control" }, schema: { body: Registration } },
          (request, reply) =>
            http.answer(
              request,
              reply,
              Effect.map(
                persist(
                  machines.register(request.accountId, request.body),
                  Duration.toMillis(options.registerWithin ?? registerWithin)
                ),
                (machine) => ({
                  machine
                })
              )
            )
        )
        app.get("/v1/machines", { config: { priority: "heavy" } }, (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(lists.list(request.accountId), (list) => {
              TruncationHeader.mark(reply, list)
              return JsonBytes.of(reply, list.json)
            })
          )
        )
        app.get("/v1/machines/:id", { schema: { params: Params } }, (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.map(machines.find(request.accountId, request.params.id), (machine) => ({ machine }))
          )
        )
      })
      yield* addRevocation(http, machines)
    })
  )
