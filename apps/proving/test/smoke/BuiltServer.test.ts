/**
 * Goal: what is built starts, serves, stops and starts again.
 * Method: one life of the bundle as an operator runs it, from the first login to the restart. Everything else about the
 * process belongs to `npm run prove`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"

const account = Client.make()

describe("the built server", () => {
  it.scopedLive(
    "registers a machine and passes a message on, ends with 0 on a signal, and has both after a restart",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const device = yield* Device.login(server.url, account)
        const registered = yield* device.post("/v1/machines", { id: "m1", metadata: "sealed" })
        assert.strictEqual(registered.status, 200, registered.text)

        const sid = yield* Device.openSession(device, "tag")
        const app = yield* device.connect({ clientType: "user-scoped" })
        const agent = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
        const answer = yield* agent.ask("message", { sid, message: "sealed", localId: "l1" })
        assert.strictEqual(answer.ok, true, JSON.stringify(answer))
        const heard = yield* app.until(({ event, payload }) => event === "update" && payload.body.t === "new-message")
        assert.strictEqual(heard.payload.body.message.localId, "l1")

        assert.strictEqual((yield* server.end("SIGTERM")).code, 0, server.output())
        yield* server.start
        const machines = yield* device.get("/v1/machines")
        assert.deepStrictEqual(
          (machines.body as unknown as ReadonlyArray<{ readonly id: string }>).map(({ id }) => id),
          ["m1"]
        )
        const messages = yield* device.get(`/v1/sessions/${sid}/messages`)
        assert.deepStrictEqual(
          messages.body["messages"].map(({ localId }: { readonly localId: string }) => localId),
          ["l1"]
        )
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0, server.output())
      }),
    120_000
  )
})
