import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema, TestClock } from "effect"
import type { InjectOptions } from "fastify"
import net from "node:net"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy } from "presence-effect/writer/WriterError"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { NotFound, Unauthorized } from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpListener from "../../src/http/HttpListener.ts"

/** Accepts one token. */
const OneToken = Layer.succeed(
  Authenticator,
  Authenticator.of({
    verify: (token) =>
      token === "good" ? Effect.succeed("account") : Effect.fail(new Unauthorized({ error: "Invalid token" }))
  })
)

const App = (options?: HttpApp.Options) => HttpApp.layer(options).pipe(Layer.provide(OneToken))

const Listening = HttpListener.layer({ host: "127.0.0.1", port: 0, closeTimeout: "5 seconds" })

const inject = (request: InjectOptions) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) => Effect.promise(() => fastify.inject(request)))

/** A route that answers with what `effect` does. */
const route = <A>(effect: Effect.Effect<A, NotFound | DatabaseBusy>) =>
  Effect.flatMap(HttpApp.HttpApp, (http) =>
    http.register((app) => {
      app.get("/route/:id", (request, reply) => http.answer(request, reply, effect))
    })
  )

const Named = Schema.Struct({
  name: Schema.String.pipe(Schema.maxLength(3)),
  count: Schema.optional(Schema.Int),
  size: Schema.optional(Schema.NumberFromString)
})

const bodyRoute = Effect.flatMap(HttpApp.HttpApp, (http) =>
  http.register((app) => {
    app.post("/named", { schema: { body: Named } }, (request, reply) =>
      http.answer(request, reply, Effect.succeed({ upper: request.body.name.toUpperCase() }))
    )
  })
)

const settle = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))).pipe(Effect.repeatN(5))

describe("HttpApp", () => {
  it.scoped("answers at the root, with security headers", () =>
    Effect.gen(function* () {
      const response = yield* inject({ url: "/" })
      assert.strictEqual(response.body, "Welcome to Happier Server!")
      assert.include(response.headers["content-type"], "text/plain")
      assert.strictEqual(response.headers["x-content-type-options"], "nosniff")
      assert.include(response.headers["content-security-policy"], "default-src 'self'")
      assert.isUndefined(response.headers["strict-transport-security"])
      assert.isUndefined(response.headers["access-control-allow-origin"])
    }).pipe(Effect.provide(App()))
  )

  it.scoped("distinguishes an unknown route from an unknown entity", () =>
    Effect.gen(function* () {
      yield* route(new NotFound({ what: "Machine" }))
      const unknownRoute = yield* inject({ method: "POST", url: "/v9/none" })
      assert.strictEqual(unknownRoute.statusCode, 404)
      assert.deepStrictEqual(unknownRoute.json(), { error: "Not found", path: "/v9/none", method: "POST" })
      const unknownThing = yield* inject({ url: "/route/1" })
      assert.strictEqual(unknownThing.statusCode, 404)
      assert.deepStrictEqual(unknownThing.json(), { error: "Machine not found" })
    }).pipe(Effect.provide(App()))
  )

  it.scoped("refuses a write that cannot be done now with 503 and Retry-After", () =>
    Effect.gen(function* () {
      yield* route(new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 3 }))
      const response = yield* inject({ url: "/route/1" })
      assert.strictEqual(response.statusCode, 503)
      const { retryAfterMs, ...body } = response.json<{ readonly retryAfterMs: number }>()
      assert.deepStrictEqual<unknown>(body, { error: "The database is busy", code: "DatabaseBusy", retryable: true })
      assert.strictEqual(response.headers["retry-after"], String(retryAfterMs / 1000))
    }).pipe(Effect.provide(App()))
  )

  it.scoped("answers a defect with a bare 500", () =>
    Effect.gen(function* () {
      yield* route(Effect.die(new Error("canary")))
      const response = yield* inject({ url: "/route/1" })
      assert.strictEqual(response.statusCode, 500)
      assert.deepStrictEqual(response.json(), {
        error: "Internal Server Error",
        message: "An unexpected error occurred",
        statusCode: 500
      })
    }).pipe(Effect.provide(App()))
  )

  it.scoped("answers a handler that throws in the same way", () =>
    Effect.gen(function* () {
      const http = yield* HttpApp.HttpApp
      yield* http.register((app) => {
        app.get("/throws", () => {
          throw new Error("canary")
        })
      })
      const response = yield* inject({ url: "/throws" })
      assert.strictEqual(response.statusCode, 500)
      assert.notInclude(response.body, "canary")
    }).pipe(Effect.provide(App()))
  )

  describe("bodies", () => {
    for (const [name, payload, message] of [
      ["a field is missing", {}, "body/name is required"],
      ["a field has another type", { name: 7 }, "body/name Expected string"],
      ["a value breaks its rule", { name: "canary" }, `body/name Expected a string at most 3 character(s) long`],
      ["a text is no number", { name: "a", size: "canary" }, "body/size cannot be read"],
      ["a number is no whole one", { name: "a", count: 1.5 }, "body/count Expected an integer"],
      ["there is no body", undefined, "body Expected { readonly name:"]
    ] as const) {
      it.scoped(`are refused when ${name}, without repeating their values`, () =>
        Effect.gen(function* () {
          yield* bodyRoute
          const response = yield* inject({ method: "POST", url: "/named", ...(payload && { payload }) })
          assert.strictEqual(response.statusCode, 400)
          const body = response.json<{
            readonly error: string
            readonly message: string
            readonly statusCode: number
          }>()
          assert.strictEqual(body.error, "Error")
          assert.strictEqual(body.statusCode, 400)
          assert.include(body.message, message)
          assert.notInclude(response.body, "canary")
        }).pipe(Effect.provide(App()))
      )
    }

    it.scoped("arrive decoded", () =>
      Effect.gen(function* () {
        yield* bodyRoute
        const response = yield* inject({ method: "POST", url: "/named", payload: { name: "abc", more: 1 } })
        assert.deepStrictEqual(response.json(), { upper: "ABC" })
      }).pipe(Effect.provide(App()))
    )

    it.scoped("that are no JSON are answered with 400, too large ones with 413, others with 415", () =>
      Effect.gen(function* () {
        yield* bodyRoute
        const send = (payload: string, type = "application/json") =>
          Effect.map(
            inject({ method: "POST", url: "/named", headers: { "content-type": type }, payload }),
            (response) => [response.statusCode, response.json<{ readonly error: string }>().error]
          )
        assert.deepStrictEqual(yield* send("{"), [400, "SyntaxError"])
        assert.deepStrictEqual(yield* send(JSON.stringify({ name: "x".repeat(2000) })), [413, "Error"])
        assert.deepStrictEqual(yield* send("<a/>", "text/xml"), [415, "Error"])
      }).pipe(Effect.provide(App({ bodyLimitBytes: 1024 })))
    )
  })

  describe("authenticate", () => {
    const guarded = Effect.flatMap(HttpApp.HttpApp, (http) =>
      http.register((app) => {
        app.addHook("onRequest", http.authenticate)
        app.get("/me", (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.sync(() => ({ id: request.accountId }))
          )
        )
      })
    )

    let note = () => {}
    const asked = new Promise<void>((resolve) => {
      note = resolve
    })
    /** Never finds the account of a token, and records that it was called. */
    const SlowToken = Layer.succeed(
      Authenticator,
      Authenticator.of({
        verify: () =>
          Effect.zipRight(
            Effect.sync(() => note()),
            Effect.never
          )
      })
    )

    for (const [authorization, status, body] of [
      [undefined, 401, { error: "Missing authorization header" }],
      ["Basic good", 401, { error: "Missing authorization header" }],
      ["Bearer ", 401, { error: "Missing authorization header" }],
      ["Bearer bad", 401, { error: "Invalid token" }],
      ["Bearer good", 200, { id: "account" }]
    ] as const) {
      it.scoped(`answers ${status} to ${authorization ?? "no header"}`, () =>
        Effect.gen(function* () {
          yield* guarded
          const response = yield* inject({ url: "/me", headers: authorization === undefined ? {} : { authorization } })
          assert.strictEqual(response.statusCode, status)
          assert.deepStrictEqual<unknown>(response.json(), body)
        }).pipe(Effect.provide(App()))
      )
    }

    it.scoped("does not run the handler for a client that disconnects while its token is verified", () =>
      Effect.gen(function* () {
        const http = yield* HttpApp.HttpApp
        const closed = yield* Deferred.make<void>()
        const reached: Array<string> = []
        http.fastify.addHook("onRequest", (_, reply, done) => {
          reply.raw.once("close", () => Effect.runSync(Deferred.succeed(closed, undefined)))
          done()
        })
        yield* http.register((app) => {
          app.addHook("onRequest", http.authenticate)
          app.delete("/mine", (request) => {
            reached.push(request.accountId)
            return {}
          })
        })
        yield* Effect.gen(function* () {
          const { port } = yield* HttpListener.HttpListener
          const socket = net.connect(port, "127.0.0.1")
          socket.write("DELETE /mine HTTP/1.1\r\nhost: x\r\nauthorization: Bearer slow\r\n\r\n")
          yield* Effect.promise(() => asked)
          socket.destroy()
          yield* Deferred.await(closed)
          yield* settle
          assert.deepStrictEqual(reached, [])
        }).pipe(Effect.provide(Listening), Effect.scoped)
      }).pipe(Effect.provide(HttpApp.layer().pipe(Layer.provide(SlowToken))))
    )
  })

  describe("answer", () => {
    it.scoped("ends after its limit, also for an effect that cannot be interrupted", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        yield* route(Effect.uninterruptible(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)))
        const waiting = yield* Effect.fork(inject({ url: "/route/1" }))
        yield* Deferred.await(started)
        yield* TestClock.adjust("8999 millis")
        yield* settle
        assert.isNull(waiting.unsafePoll())
        yield* TestClock.adjust("1 millis")
        const response = yield* Fiber.join(waiting)
        assert.strictEqual(response.statusCode, 503)
        assert.strictEqual(response.json<{ readonly code: string }>().code, "AnswerTimeout")
      }).pipe(Effect.provide(App()))
    )

    it.scoped("interrupts the effect of a client that disconnects", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const interrupted = yield* Deferred.make<void>()
        yield* route(
          Effect.zipRight(Deferred.succeed(started, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
        )
        yield* Effect.gen(function* () {
          const { port } = yield* HttpListener.HttpListener
          const socket = net.connect(port, "127.0.0.1")
          socket.write("GET /route/1 HTTP/1.1\r\nhost: x\r\n\r\n")
          yield* Deferred.await(started)
          socket.destroy()
          yield* Deferred.await(interrupted)
        }).pipe(Effect.provide(Listening), Effect.scoped)
      }).pipe(Effect.provide(App()))
    )

    it.scoped("does not mistake the end of a request's body for a disconnect", () =>
      Effect.gen(function* () {
        const http = yield* HttpApp.HttpApp
        const open = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        yield* http.register((app) => {
          app.post("/wait", { schema: { body: Named } }, (request, reply) =>
            http.answer(
              request,
              reply,
              Effect.zipRight(Deferred.succeed(started, undefined), Effect.as(Deferred.await(open), { done: true }))
            )
          )
        })
        yield* Effect.gen(function* () {
          const { url } = yield* HttpListener.HttpListener
          const response = yield* Effect.fork(
            Effect.promise(() =>
              fetch(`${url}/wait`, {
                method: "POST",
                headers: { "content-type": "application/json" },
                body: JSON.stringify({ name: "abc" })
              }).then((response) => response.json())
            )
          )
          yield* Deferred.await(started)
          yield* settle
          yield* Deferred.succeed(open, undefined)
          assert.deepStrictEqual(yield* Fiber.join(response), { done: true })
        }).pipe(Effect.provide(Listening), Effect.scoped)
      }).pipe(Effect.provide(App()))
    )
  })

  describe("draining", () => {
    /** A socket that records when it is closed, and what it received until then. */
    const connect = (port: number) =>
      Effect.gen(function* () {
        const closed = yield* Deferred.make<string>()
        let received = ""
        const socket = net.connect(port, "127.0.0.1")
        socket.on("data", (data) => (received += data.toString()))
        socket.on("close", () => Effect.runSync(Deferred.succeed(closed, received)))
        return { write: (text: string) => socket.write(text), received: Deferred.await(closed) }
      })

    it.scoped("lets a request under way end, refuses new work, and closes both connections", () =>
      Effect.gen(function* () {
        const http = yield* HttpApp.HttpApp
        const open = yield* Deferred.make<void>()
        const started = yield* Deferred.make<void>()
        const connected = yield* Deferred.make<ReadonlyArray<Effect.Effect.Success<ReturnType<typeof connect>>>>()
        const draining = yield* Deferred.make<void>()
        http.fastify.addHook("preClose", (done) => {
          Effect.runSync(Deferred.succeed(draining, undefined))
          done()
        })
        yield* route(Effect.zipRight(Deferred.succeed(started, undefined), Effect.as(Deferred.await(open), "done")))
        const listening = yield* Effect.fork(
          Effect.gen(function* () {
            const { port } = yield* HttpListener.HttpListener
            const late = yield* connect(port)
            // Not idle, so the server does not close it at once; not a request yet either.
            late.write("GET /route/2 HTTP/1.1\r\n")
            const early = yield* connect(port)
            early.write("GET /route/1 HTTP/1.1\r\nhost: x\r\n\r\n")
            yield* Deferred.succeed(connected, [early, late])
            yield* Deferred.await(started)
          }).pipe(Effect.provide(Listening), Effect.scoped)
        )
        const [early, late] = yield* Deferred.await(connected)
        yield* Deferred.await(draining)
        assert.isTrue(http.isDraining())
        late?.write("host: x\r\n\r\n")
        const refusal = yield* late?.received ?? Effect.succeed("")
        assert.include(refusal, "HTTP/1.1 503")
        assert.include(refusal, `"code":"Draining"`)
        assert.match(refusal, /retry-after: [234]\r\n/)
        yield* Deferred.succeed(open, undefined)
        const answer = yield* early?.received ?? Effect.succeed("")
        assert.include(answer, "HTTP/1.1 200 OK")
        assert.match(answer, /connection: close/i)
        yield* Fiber.join(listening)
      }).pipe(Effect.provide(App()))
    )

    it.scoped("closes connections that are still busy when the time is over", () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        yield* route(Effect.zipRight(Deferred.succeed(started, undefined), Effect.never))
        const closed = yield* Deferred.make<void>()
        const draining = yield* Deferred.make<void>()
        const http = yield* HttpApp.HttpApp
        http.fastify.addHook("preClose", (done) => {
          Effect.runSync(Deferred.succeed(draining, undefined))
          done()
        })
        const listening = yield* Effect.fork(
          Effect.gen(function* () {
            const { port } = yield* HttpListener.HttpListener
            const socket = net.connect(port, "127.0.0.1")
            socket.on("close", () => Effect.runSync(Deferred.succeed(closed, undefined)))
            socket.write("GET /route/1 HTTP/1.1\r\nhost: x\r\n\r\n")
            yield* Deferred.await(started)
          }).pipe(Effect.provide(Listening), Effect.scoped)
        )
        yield* Deferred.await(draining)
        yield* settle
        yield* TestClock.adjust("5 seconds")
        yield* Fiber.join(listening)
        yield* Deferred.await(closed)
      }).pipe(Effect.provide(App()))
    )
  })

  it.scoped("fails typed when the port is taken", () =>
    Effect.gen(function* () {
      const server = yield* Effect.acquireRelease(
        Effect.async<net.Server>((resume) => {
          const server = net.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = server.address() as net.AddressInfo
      const error = yield* Layer.build(HttpListener.layer({ host: "127.0.0.1", port, closeTimeout: "1 second" })).pipe(
        Effect.flip
      )
      assert.strictEqual(error.code, "EADDRINUSE")
    }).pipe(Effect.provide(App()))
  )

  it.scoped("lets browsers change and delete", () =>
    Effect.gen(function* () {
      const headers = { origin: "https://a.example", "access-control-request-method": "PATCH" }
      const response = yield* inject({ method: "OPTIONS", url: "/v2/sessions/s1", headers })
      const methods = String(response.headers["access-control-allow-methods"]).split(", ")
      assert.includeMembers(methods, ["PATCH", "DELETE"])
    }).pipe(Effect.provide(App({ corsOrigins: ["https://a.example"] })))
  )

  it.scoped("allows browsers of the given origins, and no others", () =>
    Effect.gen(function* () {
      const allowed = (origin: string) =>
        Effect.map(inject({ url: "/", headers: { origin } }), ({ headers }) => headers["access-control-allow-origin"])
      assert.strictEqual(yield* allowed("https://a.example"), "https://a.example")
      assert.isUndefined(yield* allowed("https://b.example"))
    }).pipe(Effect.provide(App({ corsOrigins: ["https://a.example", "https://c.example"] })))
  )
})
