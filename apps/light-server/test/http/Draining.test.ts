/**
 * Between the request to end and the closed port the server answers that it is
 * ending.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { Unauthorized } from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpListener from "../../src/http/HttpListener.ts"

const Nobody = Layer.succeed(Authenticator, { verify: () => new Unauthorized({ error: "Invalid token" }) })

const App = HttpApp.layer().pipe(Layer.provide(Nobody))

const Listening = HttpListener.layer({ host: "127.0.0.1", port: 0, closeTimeout: "5 seconds" })

describe("Draining", () => {
  it.scoped(
    "answers so and refuses new work while its steps run, one after the other, and closes the port after them",
    () =>
      Effect.gen(function* () {
        const http = yield* HttpApp.HttpApp
        const entered = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const order: Array<string> = []
        yield* http.register((app) => {
          app.get("/always", { config: { answersWhileDraining: true } }, () => ({ isDraining: http.isDraining() }))
        })
        yield* http.onDrain(
          Deferred.succeed(entered, undefined).pipe(
            Effect.zipRight(Deferred.await(gate)),
            Effect.zipRight(Effect.sync(() => void order.push("first")))
          )
        )
        yield* http.onDrain(Effect.sync(() => void order.push("second")))
        http.fastify.addHook("onClose", (_, done) => {
          order.push("closed")
          done()
        })
        const listening = yield* Deferred.make<string>()
        const serving = yield* Effect.fork(
          Effect.gen(function* () {
            yield* Deferred.succeed(listening, (yield* HttpListener.HttpListener).url)
          }).pipe(Effect.provide(Listening), Effect.scoped)
        )
        const url = yield* Deferred.await(listening)
        yield* Deferred.await(entered)
        const get = (path: string) => Effect.promise(() => fetch(url + path))
        const asked = yield* get("/always")
        assert.deepStrictEqual(yield* Effect.promise(() => asked.json()), { isDraining: true })
        assert.deepStrictEqual([asked.status, asked.headers.get("connection")], [200, "close"])
        const refused = yield* get("/")
        assert.deepStrictEqual([refused.status, refused.headers.get("connection")], [503, "close"])
        assert.deepStrictEqual(order, [])
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(serving)
        assert.deepStrictEqual(order, ["first", "second", "closed"])
        assert.isTrue(yield* Effect.isFailure(Effect.tryPromise(() => fetch(`${url}/always`))))
      }).pipe(Effect.provide(App))
  )
})
