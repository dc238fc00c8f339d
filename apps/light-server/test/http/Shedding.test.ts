/**
 * What is refused while the event loop is late or too much waits to be read,
 * and the parts of a refusal that a browser can read.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import type { InjectOptions } from "fastify"
import net from "node:net"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { freeMillis, make as makeMeter } from "../../src/door/CostMeter.ts"
import { weighted } from "../../src/door/LoopDelay.ts"
import * as RateLimit from "../../src/door/RateLimit.ts"
import * as ConnectionLimit from "../../src/http/ConnectionLimit.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpListener from "../../src/http/HttpListener.ts"
import * as OutgoingBytes from "../../src/http/OutgoingBytes.ts"
import { valueOf } from "../support/Gauges.ts"

const Anybody = Layer.succeed(Authenticator, { verify: () => Effect.succeed("account") })

const big = "x".repeat(1_000_000)

const App = (options: HttpApp.Options) =>
  Layer.effectDiscard(
    Effect.flatMap(HttpApp.HttpApp, (http) =>
      http.register((app) => {
        app.get("/heavy", { config: { priority: "heavy" } }, () => ({ big }))
        app.get("/read", () => ({ big }))
        app.post("/change", () => ({}))
        app.post("/control", { config: { priority: "control" } }, () => ({}))
        app.get("/live", { config: { answersWhileDraining: true } }, () => ({}))
      })
    )
  ).pipe(Layer.provideMerge(HttpApp.layer(options).pipe(Layer.provide(Anybody))))

const inject = (request: InjectOptions) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) => Effect.promise(() => fastify.inject(request)))

const requests: ReadonlyArray<InjectOptions> = [
  { url: "/heavy" },
  { url: "/read" },
  { method: "POST", url: "/change" },
  { method: "POST", url: "/control" },
  { url: "/live" }
]

const statuses = Effect.forEach(requests, (request) => Effect.map(inject(request), ({ statusCode }) => statusCode))

describe("a late event loop", () => {
  let delay = 0
  const options: HttpApp.Options = { loopDelay: { currentMillis: () => delay }, shedDelayMillis: 100 }

  it.scoped("sheds large reads first, then reads, then changes, registrations last, and health never", () =>
    Effect.gen(function* () {
      for (const [late, expected] of [
        [100, [200, 200, 200, 200, 200]],
        [101, [503, 200, 200, 200, 200]],
        [201, [503, 503, 200, 200, 200]],
        [601, [503, 503, 503, 200, 200]],
        [2001, [503, 503, 503, 503, 200]],
        [0, [200, 200, 200, 200, 200]]
      ] as const) {
        delay = late
        assert.deepStrictEqual(yield* statuses, [...expected], `${late} ms`)
      }
      const before = yield* valueOf("http_shed_total", { key: "priority", value: "heavy" })
      delay = 150
      const refused = yield* inject({ url: "/heavy" })
      assert.strictEqual(refused.json<{ code: string }>().code, "LoopOverload")
      assert.match(String(refused.headers["retry-after"]), /^[234]$/)
      assert.strictEqual((yield* valueOf("http_shed_total", { key: "priority", value: "heavy" })) - before, 1)
    }).pipe(Effect.provide(App(options)))
  )

  it("is measured by the gap that a random moment falls into", () => {
    assert.strictEqual(weighted({ mean: 10e6, stddev: 0 }), 0)
    // Nine gaps of 10 ms and one of 910: nearly every moment falls into the long one.
    assert.closeTo(weighted({ mean: 100e6, stddev: 270e6 }), 819, 1)
    assert.strictEqual(weighted({ mean: Number.NaN, stddev: Number.NaN }), 0)
  })
})

describe("a refusal", () => {
  const origin = "https://a.example"

  it.scoped("can be read by a browser, also before the route is reached", () =>
    Effect.gen(function* () {
      const { drain } = yield* HttpApp.HttpApp
      const readable = (request: InjectOptions, status: number) =>
        Effect.map(inject({ ...request, headers: { origin } }), ({ headers, statusCode }) => {
          assert.strictEqual(statusCode, status)
          assert.strictEqual(headers["access-control-allow-origin"], origin)
          assert.include(String(headers["access-control-expose-headers"]), "retry-after")
          assert.include(String(headers["access-control-expose-headers"]), "x-list-cut")
          assert.isDefined(headers["retry-after"])
        })
      yield* inject({ url: "/read" })
      yield* readable({ url: "/read" }, 429)
      yield* drain
      yield* readable({ url: "/read", remoteAddress: "192.0.2.9" }, 503)
    }).pipe(Effect.provide(App({ corsOrigins: [origin], rateLimits: { ...RateLimit.defaults, open: 1 } })))
  )
})

describe("answers that are not read", () => {
  const limits = { ...OutgoingBytes.defaults, stallMillis: 1000 }

  /** Asks for a large answer and does not read it. */
  const stuck = (port: number) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const socket = net.connect(port, "127.0.0.1").pause()
        socket.on("error", () => {})
        socket.write("GET /read HTTP/1.1\r\nhost: x\r\n\r\n")
        return socket
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )

  const waitFor = (isDone: Effect.Effect<boolean>) =>
    Effect.repeat(
      Effect.zipRight(
        Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20))),
        isDone
      ),
      { until: (done) => done }
    )

  const Listening = HttpListener.layer({ host: "127.0.0.1", port: 0, closeTimeout: "1 second" })
  const largest = "x".repeat(20_000_000)
  const Large = (outgoing: OutgoingBytes.OutgoingLimits) =>
    Listening.pipe(
      Layer.provideMerge(
        Layer.effectDiscard(
          Effect.flatMap(HttpApp.HttpApp, (http) =>
            http.register((app) => {
              app.get("/read", () => largest)
              app.get("/heavy", { config: { priority: "heavy" } }, () => largest)
              app.get("/small", () => "small")
            })
          )
        )
      ),
      Layer.provideMerge(HttpApp.layer({ outgoing }).pipe(Layer.provide(Anybody)))
    )

  it.scoped("are cut, counted, and no longer wait", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpListener.HttpListener
      const before = yield* valueOf("http_slow_readers_total")
      yield* stuck(port)
      yield* waitFor(Effect.map(valueOf("http_waiting_bytes"), (bytes) => bytes >= 20_000_000))
      yield* waitFor(Effect.map(valueOf("http_slow_readers_total"), (count) => count - before === 1))
      yield* waitFor(Effect.map(valueOf("http_waiting_bytes"), (bytes) => bytes === 0))
    }).pipe(Effect.provide(Large(limits)))
  )

  it.scoped("cause the refusal of other large answers, but not of small ones", () =>
    Effect.gen(function* () {
      const { port } = yield* HttpListener.HttpListener
      yield* stuck(port)
      yield* waitFor(Effect.map(valueOf("http_waiting_bytes"), (bytes) => bytes >= 20_000_000))
      const before = yield* valueOf("http_shed_total", { key: "reason", value: "bytes" })
      const refused = yield* inject({ url: "/read", remoteAddress: "127.0.0.1" })
      assert.strictEqual(refused.statusCode, 503)
      assert.strictEqual(refused.json<{ code: string }>().code, "LoopOverload")
      assert.isDefined(refused.headers["retry-after"])
      assert.strictEqual((yield* inject({ url: "/heavy", remoteAddress: "127.0.0.1" })).statusCode, 503)
      assert.strictEqual((yield* valueOf("http_shed_total", { key: "reason", value: "bytes" })) - before, 2)
      assert.strictEqual((yield* inject({ url: "/small", remoteAddress: "127.0.0.1" })).statusCode, 200)
      // Another address has a share of its own.
      assert.strictEqual((yield* inject({ url: "/read", remoteAddress: "192.0.2.1" })).statusCode, 200)
    }).pipe(Effect.provide(Large({ ...limits, stallMillis: 60_000, addressBytes: 24_000_000 })))
  )
})

describe("connections", () => {
  it("are limited per address, except those of trusted proxies", () => {
    const listeners: Record<string, (socket: unknown) => void> = {}
    const server = { prependListener: (name: string, listen: (socket: unknown) => void) => (listeners[name] = listen) }
    ConnectionLimit.add(
      server as unknown as Parameters<typeof ConnectionLimit.add>[0],
      { total: 100, perAddress: 2 },
      (address) => address === "10.0.0.1"
    )
    const connect = (remoteAddress: string) => {
      const socket = { remoteAddress, isOpen: true, end: () => {}, destroy: () => void (socket.isOpen = false) }
      listeners["connection"]?.({
        ...socket,
        destroy: socket.destroy,
        once: (_: string, end: () => void) => (socket.end = end)
      })
      return socket
    }
    const [first] = [connect("192.0.2.1"), connect("192.0.2.1")]
    assert.isFalse(connect("192.0.2.1").isOpen)
    assert.isTrue(connect("192.0.2.2").isOpen)
    first.end()
    assert.isTrue(connect("192.0.2.1").isOpen)
    for (let count = 0; count < 5; count++) assert.isTrue(connect("10.0.0.1").isOpen)
  })
})

describe("the cost of a request", () => {
  const clock = { now: 0, busy: 0 }
  const meter = () => makeMeter({ nowMillis: () => clock.now, busyMillis: () => clock.busy })
  const spend = (millis: number, busy: number) => () => {
    clock.now += millis
    clock.busy += busy
  }

  it("is nothing beyond the first point for what an ordinary request takes", () => {
    const cost = meter()
    cost.run(spend(freeMillis, freeMillis))
    cost.addBytes(65_535)
    assert.strictEqual(cost.points(), 0)
    cost.run(spend(75, 75))
    cost.addBytes(65_537)
    assert.strictEqual(cost.points(), 102)
  })

  it("leaves out the time in which the machine ran something else, and counts nested pieces once", () => {
    const cost = meter()
    cost.run(spend(500, 40))
    assert.strictEqual(cost.points(), 40)
    const nested = meter()
    nested.run(() => nested.run(spend(50, 50)))
    assert.strictEqual(nested.points(), 50)
  })
})
