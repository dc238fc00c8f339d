/**
 * Every failure before a route of ours is answered in this server's format, and
 * counted.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer, Metric, MetricState } from "effect"
import net from "node:net"
import { Authenticator } from "../../src/door/Authenticator.ts"
import * as Failure from "../../src/Failure.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpListener from "../../src/http/HttpListener.ts"

const Nobody = Layer.succeed(Authenticator, { verify: () => new Failure.Unauthorized({ error: "Invalid token" }) })

/** How long the slow route takes. */
const slowness = { next: (): Promise<void> => Promise.resolve() }

const App = HttpListener.layer({ host: "127.0.0.1", port: 0, closeTimeout: "5 seconds" }).pipe(
  Layer.provideMerge(
    Layer.effectDiscard(
      Effect.flatMap(HttpApp.HttpApp, (http) =>
        http.register((app) => {
          app.get("/thing/:id", () => ({}))
          app.post("/thing/:id", () => ({}))
          app.get("/slow/:id", () => slowness.next())
        })
      )
    )
  ),
  Layer.provideMerge(HttpApp.layer().pipe(Layer.provide(Nobody)))
)

/** The answer to these bytes until the server closes the connection. */
const talk = (text: string) =>
  Effect.gen(function* () {
    const { port } = yield* HttpListener.HttpListener
    const closed = yield* Deferred.make<string>()
    const socket = net.connect(port, "127.0.0.1")
    let received = ""
    socket.on("data", (data) => (received += data.toString()))
    socket.on("error", () => {})
    socket.on("close", () => Effect.runSync(Deferred.succeed(closed, received)))
    socket.write(text)
    const answer = yield* Deferred.await(closed)
    const [head = "", body = ""] = answer.split("\r\n\r\n")
    return { status: Number(head.split(" ")[1]), head: head.toLowerCase(), body: Object(JSON.parse(body || "{}")) }
  })

const get = (path: string, headers = "") => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${headers}\r\n`

/** How many requests were counted under the status, over all methods and routes. */
const countOf = (status: string) =>
  Effect.map(Metric.snapshot, (pairs) =>
    pairs
      .filter(({ metricKey }) => metricKey.name === "http_request_seconds")
      .filter(({ metricKey }) => metricKey.tags.some(({ key, value }) => key === "status" && value === status))
      .reduce((sum, { metricState }) => (MetricState.isHistogramState(metricState) ? sum + metricState.count : sum), 0)
  )

const post = (headers: string, body: string) =>
  `POST /thing/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`

const refused = (statusCode: number, message: string) => ({ error: "Error", message, statusCode })

const cases: ReadonlyArray<readonly [what: string, text: string, status: number, body: unknown]> = [
  ["a path that cannot be decoded", get("/thing/%zz"), 400, refused(400, "the path cannot be decoded")],
  ["a part that is too long", get(`/thing/${"x".repeat(12_289)}`), 414, refused(414, "a part of the path is too long")],
  [
    "headers that are too long",
    get("/", `x: ${"x".repeat(20_000)}\r\n`),
    431,
    refused(431, "the headers are too long")
  ],
  ["bytes that are no request", "canary\r\n\r\n", 400, refused(400, "this is no request of HTTP")],
  ["a malformed header", get("/", "can ary: 1\r\n"), 400, refused(400, "this is no request of HTTP")],
  [
    "an unsupported content type",
    post("content-type: text/canary\r\n", "x"),
    415,
    refused(415, "Unsupported Media Type")
  ],
  ["an unknown route", get("/none"), 404, { error: "Not found", path: "/none", method: "GET" }]
]

describe("ErrorBodies", () => {
  for (const [what, text, status, body] of cases) {
    it.scoped(`answers ${what} with ${status} and the body of the table, and counts it once`, () =>
      Effect.gen(function* () {
        const before = yield* countOf(String(status))
        const answer = yield* talk(text)
        assert.deepStrictEqual([answer.status, answer.body], [status, body])
        assert.include(answer.head, "content-type: application/json; charset=utf-8")
        assert.include(answer.head, "connection: close")
        assert.notInclude(JSON.stringify(answer), "canary")
        yield* Effect.yieldNow().pipe(Effect.repeatN(4))
        assert.strictEqual((yield* countOf(String(status))) - before, 1)
      }).pipe(Effect.provide(App))
    )
  }

  it.scoped(
    "counts a client that disconnects before its answer under a status of its own, by the pattern of its route",
    () =>
      Effect.gen(function* () {
        const http = yield* HttpApp.HttpApp
        const started = yield* Deferred.make<void>()
        const closed = yield* Deferred.make<void>()
        const before = yield* countOf("499")
        const { port } = yield* HttpListener.HttpListener
        yield* talk(get("/thing/1"))
        assert.strictEqual((yield* countOf("499")) - before, 0)
        http.fastify.server.once("request", (_, response) => {
          response.once("close", () => Effect.runSync(Deferred.succeed(closed, undefined)))
        })
        const socket = net.connect(port, "127.0.0.1")
        const slow = yield* Deferred.make<void>()
        slowness.next = () => {
          Effect.runSync(Deferred.succeed(started, undefined))
          return Effect.runPromise(Deferred.await(slow))
        }
        socket.write(get("/slow/secret-id"))
        yield* Deferred.await(started)
        socket.destroy()
        yield* Deferred.await(closed)
        yield* Deferred.succeed(slow, undefined)
        yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))).pipe(Effect.repeatN(5))
        assert.strictEqual((yield* countOf("499")) - before, 1)
        const labels = (yield* Metric.snapshot).flatMap(({ metricKey }) => metricKey.tags.map(({ value }) => value))
        assert.include(labels, "/slow/:id")
        assert.notInclude(labels.join(), "secret-id")
      }).pipe(Effect.provide(App))
  )
})
