/** Routes about the server itself. None of them reads the database. */
import { Effect, Layer, Metric, Schema } from "effect"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import type { Asking, Decision } from "../door/OperatorAccess.ts"
import { RouteUnknown, Unauthorized } from "../Failure.ts"
import * as Answer from "../http/Answer.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { version } from "../Version.ts"
import * as LoopDelayWindow from "./LoopDelayWindow.ts"
import * as ProcessMetrics from "./ProcessMetrics.ts"
import * as PrometheusText from "./PrometheusText.ts"
import { Readiness, type Report } from "./Readiness.ts"
import * as ServerMetrics from "./ServerMetrics.ts"

const service = "happier-server"

/** A refusal contains `error`, as all others do: clients of any age show it. */
const readinessBody = ({ isReady, checks }: Report) => ({
  ...(isReady ? { status: "ready" } : { status: "unready", error: "The server is not ready" }),
  checks: checks.map(({ since, ...check }) => ({ ...check, since: new Date(since).toISOString() }))
})

const ClientVersion = Schema.Struct({ platform: Schema.String, version: Schema.String, app_id: Schema.String })

/** Seconds a client waits before it asks an unready server again. */
const retryAfter = "5"

/** As an unknown route answers, unless the token would help. */
const refusalOf = (decision: Exclude<Decision, "granted">) =>
  decision === "hidden"
    ? new RouteUnknown({ path: "/metrics", method: "GET" })
    : new Unauthorized({ error: "The metrics need the token of the operator" })

const makeMetricsText = Effect.gen(function* () {
  const delay = yield* LoopDelayWindow.make
  yield* ProcessMetrics.start
  yield* Metric.set(ServerMetrics.buildInfo(version, process.version, SqliteVersion.linked()), 1)
  return Effect.gen(function* () {
    for (const quantile of [50, 99, 100]) {
      yield* Metric.set(ServerMetrics.eventLoopDelaySeconds(String(quantile / 100)), delay.seconds(quantile))
    }
    const own = yield* PrometheusText.render
    return `${own}\n${yield* ProcessMetrics.render}`
  })
})

/**
 * `/livez`, `/readyz`, `/healthz`, `/health`, `/v2/health`, `/version`,
 * `/v1/version` and, if enabled, `/metrics`.
 */
export const layer = (options: {
  readonly metrics: boolean
  /** Whether a request may read the metrics. Anyone may, unless given. */
  readonly isReadableBy?: (request: Asking) => Decision
}): Layer.Layer<never, never, HttpApp | Readiness> =>
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const http = yield* HttpApp
      const readiness = yield* Readiness
      const metricsText = options.metrics ? yield* makeMetricsText : undefined
      yield* http.register((app) => {
        const always = { config: { answersWhileDraining: true } }
        const now = () => new Date().toISOString()

        app.get("/livez", always, () => ({ status: "ok" }))
        app.get("/version", always, () => ({ version, service }))
        app.get("/v2/health", always, () => ({ status: "ok", timestamp: now(), service }))
        app.post("/v1/version", { schema: { body: ClientVersion } }, () => ({ updateUrl: null }))

        for (const path of ["/readyz", "/healthz"]) {
          app.get(path, always, async (request, reply) => {
            const report = await http.answer(request, reply, readiness.report)
            if (report === undefined) return reply
            if (!report.isReady) reply.code(503).header("retry-after", retryAfter)
            return readinessBody(report)
          })
        }
        app.get("/health", always, async (request, reply) => {
          const report = await http.answer(request, reply, readiness.report)
          if (report === undefined) return reply
          if (report.isReady) return { status: "ok", timestamp: now(), service }
          reply.code(503).header("retry-after", retryAfter)
          return { status: "error", timestamp: now(), service, error: "Database connectivity failed" }
        })
        if (metricsText !== undefined) {
          app.get("/metrics", always, async (request, reply) => {
            const decision = options.isReadableBy?.(request.raw) ?? "granted"
            if (decision !== "granted") {
              Answer.refuse(reply, refusalOf(decision), 0)
              return reply
            }
            const text = await http.answer(request, reply, metricsText)
            return text === undefined ? reply : reply.type(PrometheusText.contentType).send(text)
          })
        }
      })
    })
  )
