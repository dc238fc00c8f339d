/**
 * Goal: a collector sees what the server does, from the request to the write, and no user's data; and nothing that a
 * collector does is noticed by a client.
 * Method: the built server and a stub of a collector, both as real HTTP servers.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"
import * as TraceCollector from "../../src/drivers/TraceCollector.ts"

const quick = { OTEL_BSP_SCHEDULE_DELAY: "100" }

const childrenOf = (spans: ReadonlyArray<TraceCollector.Collected>, { spanId, traceId }: TraceCollector.Collected) =>
  spans.filter((span) => span.parentSpanId === spanId && span.traceId === traceId)

/** Waits until one arrived that is meant. */
const found = (collector: TraceCollector.TraceCollector, isMeant: (span: TraceCollector.Collected) => boolean) =>
  Eventually.until(
    Effect.sync(() => collector.spans().find(isMeant)),
    (span) => span !== undefined,
    "30 seconds"
  ).pipe(
    Effect.flatMap(({ answer }) => (answer === undefined ? Effect.dieMessage("no such span") : Effect.succeed(answer)))
  )

const named = (name: string) => (span: TraceCollector.Collected) => span.name === name

/** `name` of the children, in order. */
const childNames = (collector: TraceCollector.TraceCollector, span: TraceCollector.Collected) =>
  childrenOf(collector.spans(), span)
    .map(({ name }) => name)
    .toSorted()

describe("traces", () => {
  it.scopedLive(
    "lead from a request, an event and a tick to the writes they make, without data of users",
    () =>
      Effect.gen(function* () {
        const collector = yield* TraceCollector.make()
        const server = yield* BuiltServer.start({
          ...quick,
          OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/base/`,
          OTEL_EXPORTER_OTLP_HEADERS: "x-key=a%20b",
          OTEL_SERVICE_NAME: "my server",
          OTEL_RESOURCE_ATTRIBUTES: "service.name=other,deployment.environment.name=home",
          HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200"
        })
        const device = yield* Device.login(server.url, Client.make())
        const { id: accountId } = (yield* device.get("/v1/account/profile")).body
        yield* device.post("/v1/machines", { id: "machine-1", metadata: "private-metadata" })
        const sessionId = yield* Device.openSession(device, "private-tag")
        const line = yield* device.connect({ clientType: "session-scoped", sessionId })
        Device.pulse(line, "session", sessionId).beat()
        yield* line.ask("update-metadata", { sid: sessionId, metadata: "private-update", expectedVersion: 0 })
        yield* line.ask("message", { sid: sessionId, message: "private-message", localId: "l1" })
        yield* device.get(`/v1/sessions/${sessionId}/messages`)
        // A failure of a write has a message, which stays here.
        assert.strictEqual((yield* device.post("/v1/machines", { id: 1 })).status, 400)

        const request = yield* found(collector, named("POST /v1/machines"))
        assert.strictEqual(request.parentSpanId, "")
        assert.deepInclude(request.attributes, {
          "http.request.method": "POST",
          "http.route": "/v1/machines",
          "http.response.status_code": 200
        })
        assert.deepInclude(request.resource, { "service.name": "my server", "deployment.environment.name": "home" })
        const write = childrenOf(collector.spans(), request).find(named("writer.write")) ?? assert.fail("no write")
        assert.deepInclude(write.attributes, { lane: "control", outcome: "committed" })
        assert.deepStrictEqual(childNames(collector, write), ["writer.hold", "writer.wait"])

        for (const event of ["event message", "event update-metadata"]) {
          const span = yield* found(collector, named(event))
          assert.include(childNames(collector, span), "writer.write", event)
          assert.strictEqual(span.parentSpanId, "")
        }
        const tick = yield* found(collector, named("presence.flush"))
        yield* found(collector, ({ name, parentSpanId }) => name === "writer.write" && parentSpanId === tick.spanId)
        assert.strictEqual(tick.attributes["rows"], 1)

        assert.strictEqual((yield* server.end("SIGTERM")).code, 0)
        // Spans of the shutdown itself arrive as well.
        assert.include(
          collector.spans().map(({ name }) => name),
          "writer.checkpoint"
        )
        const [first = assert.fail("no request")] = collector.requests()
        assert.strictEqual(first.url, "/base/v1/traces")
        assert.strictEqual(first.headers["x-key"], "a b")
        const text = collector.text()
        for (const secret of ["private-", device.token, String(accountId), sessionId, "machine-1"]) {
          assert.notInclude(text, secret)
        }
      }),
    120_000
  )

  it.scopedLive(
    "continue the trace of a caller only when its peer is trusted",
    () =>
      Effect.gen(function* () {
        const collector = yield* TraceCollector.make()
        const traceparent = (id: string, flags: string) => ({
          traceparent: `00-${id.repeat(32)}-${id.repeat(16)}-${flags}`
        })
        const environment = { ...quick, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` }
        const foreign = yield* BuiltServer.start(environment)
        yield* Device.request(`${foreign.url}/version`, { headers: traceparent("a", "01") })
        yield* foreign.end("SIGTERM")
        const untrusted = yield* found(collector, named("GET /version"))
        assert.notStrictEqual(untrusted.traceId, "a".repeat(32))
        assert.strictEqual(untrusted.parentSpanId, "")

        const trusting = yield* BuiltServer.start({ ...environment, HAPPIER_TRUSTED_PROXIES: "loopback" })
        for (const headers of [
          traceparent("b", "01"),
          // Not sampled by the caller, and not well-formed.
          traceparent("c", "00"),
          traceparent("0", "01"),
          { traceparent: "private" }
        ]) {
          yield* Device.request(`${trusting.url}/health`, { headers })
        }
        yield* trusting.end("SIGTERM")
        const spans = collector.spans().filter(named("GET /health"))
        assert.lengthOf(spans, 3)
        assert.lengthOf(
          spans.filter(({ parentSpanId, traceId }) => traceId === "b".repeat(32) && parentSpanId === "b".repeat(16)),
          1
        )
        assert.lengthOf(
          spans.filter(({ parentSpanId }) => parentSpanId === ""),
          2
        )
      }),
    120_000
  )

  const collectors = [
    { name: "refuses", behaviour: { status: 503 }, isThere: true },
    { name: "never answers", behaviour: { status: undefined }, isThere: true },
    { name: "is not there", behaviour: {}, isThere: false }
  ]
  for (const { behaviour, isThere, name } of collectors) {
    it.scopedLive(
      `neither slow nor stop the server when the collector ${name}`,
      () =>
        Effect.gen(function* () {
          const collector = yield* TraceCollector.make(behaviour)
          const url = isThere ? collector.url : `http://127.0.0.1:${yield* BuiltServer.freePort}`
          const server = yield* BuiltServer.start({
            ...quick,
            OTEL_EXPORTER_OTLP_ENDPOINT: url,
            OTEL_EXPORTER_OTLP_TIMEOUT: "2000",
            OTEL_BSP_MAX_QUEUE_SIZE: "64",
            OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "16"
          })
          const device = yield* Device.login(server.url, Client.make())
          // Many times what the queue takes.
          yield* Effect.forEach(
            Array.from({ length: 300 }, (_, index) => index),
            (index) =>
              Effect.map(device.post("/v1/machines", { id: `m${index}`, metadata: "m" }), ({ status }) =>
                assert.strictEqual(status, 200)
              ),
            { concurrency: 8 }
          )
          if (isThere) {
            yield* collector.asked
            assert.isAtMost(collector.waiting().most, 4)
          }
          yield* Eventually.until(
            Effect.sync(server.output),
            (output) => output.includes("TRACES_NOT_SENT"),
            "30 seconds"
          )
          const { code, millis } = yield* server.end("SIGTERM")
          assert.strictEqual(code, 0)
          TimeLimit.holds("the shutdown", millis, 5000)
          // What is lost is said once, not once per span.
          const lines = server
            .output()
            .split("\n")
            .filter((line) => line.includes("TRACES_NOT_SENT"))
          assert.isAtMost(lines.length, 4, lines.join("\n"))
        }),
      120_000
    )
  }
})
