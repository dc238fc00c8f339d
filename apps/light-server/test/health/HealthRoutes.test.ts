import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, Ref } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as PresenceMetrics from "presence-effect/presence/PresenceMetrics"
import * as SqliteMetrics from "presence-effect/sqlite/SqliteMetrics"
import * as WriterMetrics from "presence-effect/writer/WriterMetrics"
import * as BackupMetrics from "../../src/admin/BackupMetrics.ts"
import * as ChangeMetrics from "../../src/changes/ChangeMetrics.ts"
import * as ReadMetrics from "../../src/database/ReadMetrics.ts"
import * as HealthRoutes from "../../src/health/HealthRoutes.ts"
import { version } from "../../src/Version.ts"
import { Readiness, type Report } from "../../src/health/Readiness.ts"
import * as ServerMetrics from "../../src/health/ServerMetrics.ts"
import * as LogMetrics from "../../src/log/LogMetrics.ts"
import type { Decision } from "../../src/door/OperatorAccess.ts"
import { Authenticator } from "../../src/door/Authenticator.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as HttpMetrics from "../../src/http/HttpMetrics.ts"
import * as RateLimit from "../../src/door/RateLimit.ts"
import * as MessageMetrics from "../../src/messages/MessageMetrics.ts"
import * as QuotaMetrics from "../../src/quota/QuotaMetrics.ts"
import * as RealtimeMetrics from "../../src/realtime/RealtimeMetrics.ts"
import * as ReplicaMetrics from "../../src/replicas/ReplicaMetrics.ts"
import * as RpcMetrics from "../../src/rpc/RpcMetrics.ts"
import { codes, table } from "../Document.ts"

const report = (isReady: boolean): Report => ({
  isReady,
  checks: [{ name: "commit", ok: isReady, code: isReady ? "OK" : "DatabaseFull", detail: "", since: 0 }]
})

const layer = (current: Ref.Ref<Report>, metrics = true, decision: Decision = "granted") =>
  HealthRoutes.layer({ metrics, isReadableBy: () => decision }).pipe(
    Layer.provideMerge(HttpApp.layer()),
    Layer.provide(Layer.succeed(Readiness, { report: Ref.get(current), untilUnusable: Effect.never })),
    Layer.provide(Layer.succeed(Authenticator, { verify: () => Effect.dieMessage("health asks for no token") }))
  )

const get = (url: string) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) => Effect.promise(() => fastify.inject({ url })))

const post = (url: string, payload: object) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) =>
    Effect.promise(() => fastify.inject({ method: "POST", url, payload }))
  )

const withServer = <A, E>(isReady: boolean, body: Effect.Effect<A, E, HttpApp.HttpApp>, metrics = true) =>
  Effect.flatMap(Ref.make(report(isReady)), (current) => Effect.provide(body, layer(current, metrics)))

/** Updates every metric, so that it is in the registry. */
const touchAll = Effect.gen(function* () {
  for (const metric of Object.values({ ...PresenceMetrics, ...SqliteMetrics, ...WriterMetrics })) {
    // A metric is a function too; anything else creates one from its labels.
    const made: unknown = Metric.MetricTypeId in metric ? metric : metric(Lane.control as never, "x")
    yield* Metric.value(made as Metric.Metric.Counter<number>)
  }
  yield* Metric.value(
    HttpMetrics.requestSeconds.pipe(
      Metric.tagged("method", "GET"),
      Metric.tagged("route", "/"),
      Metric.tagged("status", "200")
    )
  )
  yield* Metric.value(ServerMetrics.writerHoldingSeconds)
  for (const metric of Object.values(BackupMetrics)) yield* Metric.value(metric)
  for (const metric of Object.values(RateLimit.limitedTotal)) yield* Metric.value(metric)
  RealtimeMetrics.countEvent("x", "accepted")
  RealtimeMetrics.setSockets("x", 0)
  RealtimeMetrics.countRefusal("refused")
  RealtimeMetrics.setHandshakes(0)
  RealtimeMetrics.setHandshakesWaiting(0)
  RealtimeMetrics.setLagging(0)
  RealtimeMetrics.countKept("x", "stored", 0)
  RealtimeMetrics.changeHeld(0)
  RealtimeMetrics.setIntakeBytes(0)
  RealtimeMetrics.setPaused(0)
  RealtimeMetrics.setOutgoingBytes(0)
  RealtimeMetrics.countRepeated("sent")
  RealtimeMetrics.setLimits({ socketLimit: 1, accountSocketLimit: 1, handshakeLimit: 1, handshakeQueueLimit: 1 })
  ReadMetrics.countUnreadable("Session", 0)
  ReadMetrics.countCut("Session")
  ReadMetrics.setWaiting("list", 0)
  ReadMetrics.setLimit("list", 1)
  ReadMetrics.countOverflow("list")
  ReadMetrics.countReplaced("died")
  ReadMetrics.observeWait("list", 0)
  MessageMetrics.countAck("ok", "none")
  MessageMetrics.countCatchUp(0)
  ChangeMetrics.countRequest("ok", 0)
  ChangeMetrics.countPruned(1)
  QuotaMetrics.start()
  ReplicaMetrics.start()
  RpcMetrics.setMethods(0)
  RpcMetrics.setInFlight(0)
  RpcMetrics.setLimits({ methodLimit: 1, callLimit: 1, requestLimit: 1 })
  RpcMetrics.countCall("answered", 0)
  RpcMetrics.countAwaited()
  RpcMetrics.countRegistration("registered")
  for (const metric of [ServerMetrics.diskFreeBytes, ServerMetrics.ready]) yield* Metric.value(metric)
  yield* Metric.value(LogMetrics.logLinesSuppressed)
})

describe("HealthRoutes", () => {
  it.scoped("answers in all three forms when the server is ready", () =>
    withServer(
      true,
      Effect.gen(function* () {
        for (const url of ["/readyz", "/healthz"]) {
          const ready = yield* get(url)
          assert.strictEqual(ready.statusCode, 200)
          assert.deepStrictEqual(ready.json(), {
            status: "ready",
            checks: [{ name: "commit", ok: true, code: "OK", detail: "", since: "1970-01-01T00:00:00.000Z" }]
          })
        }
        const health = yield* get("/health")
        assert.strictEqual(health.statusCode, 200)
        const { timestamp, ...body } = health.json<{ readonly timestamp: string }>()
        assert.deepStrictEqual<unknown>(body, { status: "ok", service: "happier-server" })
        assert.strictEqual(new Date(timestamp).toISOString(), timestamp)
      })
    )
  )

  it.scoped("answers 503 with the reason when it is not, and stays alive", () =>
    withServer(
      false,
      Effect.gen(function* () {
        for (const url of ["/readyz", "/healthz"]) {
          const ready = yield* get(url)
          assert.strictEqual(ready.statusCode, 503)
          assert.isDefined(ready.headers["retry-after"])
          const { checks, ...body } = ready.json<{ readonly checks: ReadonlyArray<{ readonly code: string }> }>()
          assert.deepStrictEqual<unknown>(body, { status: "unready", error: "The server is not ready" })
          assert.strictEqual(checks[0]?.code, "DatabaseFull")
        }
        const health = yield* get("/health")
        assert.strictEqual(health.statusCode, 503)
        assert.include(health.json<object>(), {
          status: "error",
          error: "Database connectivity failed",
          service: "happier-server"
        })
        assert.strictEqual((yield* get("/livez")).statusCode, 200)
        assert.strictEqual((yield* get("/v2/health")).statusCode, 200)
      })
    )
  )

  it.scoped("returns its version, and answers clients that there is no update", () =>
    withServer(
      true,
      Effect.gen(function* () {
        assert.strictEqual((yield* get("/version")).json<{ version: string }>().version, version)
        const answer = yield* post("/v1/version", { platform: "ios", version: "1", app_id: "x" })
        assert.deepStrictEqual(answer.json(), { updateUrl: null })
      })
    )
  )

  it.scoped("serves metrics where asked for, and no route otherwise", () =>
    Effect.gen(function* () {
      const on = yield* withServer(true, get("/metrics"))
      assert.include(on.headers["content-type"], "text/plain")
      assert.match(on.body, /^build_info\{version=".+",node="v.+",sqlite="3.+"\} 1$/m)
      assert.match(on.body, /^event_loop_delay_seconds\{quantile="0.99"\} [\d.e-]+$/m)
      const off = yield* withServer(true, get("/metrics"), false)
      assert.strictEqual(off.statusCode, 404)
    })
  )

  it.scoped("keeps metrics from strangers, who cannot tell them from an unknown route", () =>
    Effect.gen(function* () {
      const current = yield* Ref.make(report(true))
      const as = (decision: Decision) => Effect.provide(get("/metrics"), layer(current, true, decision))
      const hidden = yield* as("hidden")
      assert.strictEqual(hidden.statusCode, 404)
      assert.deepStrictEqual(hidden.json(), { error: "Not found", path: "/metrics", method: "GET" })
      const unproven = yield* as("unproven")
      assert.strictEqual(unproven.statusCode, 401)
      assert.notInclude(unproven.body, "build_info")
    })
  )

  it.scoped("documents every metric it serves, with its labels and its kind", () =>
    withServer(
      true,
      Effect.gen(function* () {
        yield* touchAll
        const { body } = yield* get("/metrics")
        const served = new Map<string, { kind: string; labels: ReadonlyArray<string> }>()
        for (const [, name = "", kind = ""] of body.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
          // Other files of tests, which may run in the same process, make metrics of their own.
          if (name.startsWith("test_")) continue
          const sample = new RegExp(`^${name}(?:_count)?\\{(.*)\\} `, "m").exec(body)?.[1] ?? ""
          served.set(name, { kind, labels: Array.from(sample.matchAll(/(\w+)="/g), (match) => match[1] ?? "") })
        }
        const documented = ["Metric", "Process metric"].flatMap((head) =>
          table("telemetry.md", head).map(([name, labels, kind]) => ({
            name: codes(name)[0] ?? "",
            kind,
            labels: codes(labels)
          }))
        )
        assert.deepStrictEqual(documented.map(({ name }) => name).toSorted(), [...served.keys()].toSorted())
        for (const { kind, labels, name } of documented) {
          assert.strictEqual(served.get(name)?.kind, kind, name)
          assert.deepStrictEqual(served.get(name)?.labels.toSorted(), labels.toSorted(), name)
        }
      })
    )
  )
})
