/** Routes about the server itself. None of them reads the database. */
import { Effect, Layer, Metric, Schema } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { version } from "../Version.ts"
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

const makeMetricsText = Effect.gen(function* () {
  const delay = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const histogram = monitorEventLoopDelay({ resolution: 20 })
      histogram.enable()
      return histogram
    }),
    (histogram) => Effect.sync(() => histogram.disable())
  )
  yield* Metric.set(ServerMetrics.buildInfo(version, process.version, SqliteVersion.linked()), 1)
  return Effect.gen(function* () {
    for (const quantile of [50, 99, 100]) {
      const seconds = delay.count === 0 ? 0 : delay.percentile(quantile) / 1e9
      yield* Metric.set(ServerMetrics.eventLoopDelaySeconds(String(quantile / 100)), seconds)
    }
    delay.reset()
    return yield* PrometheusText.render
  })
})

/**
 * `/livez`, `/readyz`, `/healthz`, `/health`, `/v2/health`, `/version`,
 * `/v1/version` and, if enabled, `/metrics`.
 */
export const layer = (options: { readonly metrics: boolean }): Layer.Layer<never, never, HttpApp | Readiness> =>
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
            const text = await http.answer(request, reply, metricsText)
            return text === undefined ? reply : reply.type(PrometheusText.contentType).send(text)
          })
        }
      })
    })
  )
