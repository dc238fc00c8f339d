import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Prometheus from "prom-client"
import * as PromClient from "../../src/host/PromClient.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as WriterMetrics from "../../src/writer/WriterMetrics.ts"

const linesOf = (text: string, name: string) =>
  text.split("\n").filter((line) => line.startsWith(name) || line.startsWith(`# TYPE ${name}`))

describe("PromClient", () => {
  it("knows every metric that the library declares", () => {
    const folder = path.join(import.meta.dirname, "../../src")
    const files = ["writer/WriterMetrics.ts", "presence/PresenceMetrics.ts", "sqlite/SqliteMetrics.ts"]
    const kinds: Record<string, string> = {
      counter: "counter",
      gauge: "gauge",
      seconds: "histogram",
      histogram: "histogram"
    }
    const declared = files.flatMap((file) =>
      [
        ...fs
          .readFileSync(path.join(folder, file), "utf8")
          .matchAll(/\b(counter|gauge|seconds|histogram)\(\s*"([a-z_]+)"/g)
      ].map(([, kind = "", name = ""]) => [name, kinds[kind] ?? ""] as const)
    )
    assert.isAbove(declared.length, 15)
    assert.deepStrictEqual(Object.fromEntries(declared), { ...PromClient.library })
  })

  it.effect("lets a registry read what is counted, beside the host's own metrics, until it is taken out", () =>
    Effect.gen(function* () {
      const registry = new Prometheus.Registry()
      const own = new Prometheus.Counter({ name: "own_total", help: "own", registers: [registry] })
      own.inc(3)
      const unregister = PromClient.register(registry)
      const lane = Lane.make("prom-client-test")
      yield* Metric.set(WriterMetrics.queueDepth(lane), 4)
      yield* Metric.incrementBy(WriterMetrics.writes(lane, "committed"), 7)
      yield* Metric.update(WriterMetrics.waitSeconds(lane), 0.004)
      yield* Metric.update(WriterMetrics.waitSeconds(lane), 99)
      const text = yield* Effect.promise(() => registry.metrics())
      assert.include(text, "own_total 3")
      assert.include(text, 'writer_queue_depth{lane="prom-client-test"} 4')
      assert.include(text, 'writer_writes_total{lane="prom-client-test",outcome="committed"} 7')
      assert.include(text, 'writer_wait_seconds_bucket{lane="prom-client-test",le="0.0025"} 0')
      assert.include(text, 'writer_wait_seconds_bucket{lane="prom-client-test",le="0.005"} 1')
      assert.include(text, 'writer_wait_seconds_bucket{lane="prom-client-test",le="+Inf"} 2')
      assert.include(text, 'writer_wait_seconds_count{lane="prom-client-test"} 2')
      assert.include(text, "# HELP writer_queue_depth Writes that wait for the permit")
      yield* Metric.set(WriterMetrics.queueDepth(lane), 0)
      assert.include(yield* Effect.promise(() => registry.metrics()), 'writer_queue_depth{lane="prom-client-test"} 0')
      unregister()
      unregister()
      assert.strictEqual(
        yield* Effect.promise(() => registry.metrics()),
        "# HELP own_total own\n# TYPE own_total counter\nown_total 3\n"
      )
    })
  )

  it.effect("serves OpenMetrics, JSON and other metrics of the process too", () =>
    Effect.gen(function* () {
      const registry = new Prometheus.Registry<Prometheus.OpenMetricsContentType>()
      registry.setContentType(Prometheus.Registry.OPENMETRICS_CONTENT_TYPE)
      const jobs = Metric.counter("test_jobs_total", { description: "Jobs", incremental: true })
      const sizes = Metric.histogram("test_sizes", MetricBoundaries.fromIterable([1, 2]), "Sizes")
      PromClient.register(registry as never, {
        test_jobs_total: "counter",
        test_sizes: "histogram",
        test_absent: "gauge"
      })
      yield* Metric.increment(jobs)
      yield* Metric.update(sizes, 2)
      const text = yield* Effect.promise(() => registry.metrics())
      assert.deepStrictEqual(linesOf(text, "test_jobs"), ["# TYPE test_jobs counter", "test_jobs_total 1"])
      assert.deepStrictEqual(linesOf(text, "test_absent"), ["# TYPE test_absent gauge"])
      assert.match(text, /# EOF\n$/)
      const json = yield* Effect.promise(() => registry.getMetricsAsJSON())
      assert.deepStrictEqual([json[1]?.help, String(json[1]?.type)], ["Sizes", "histogram"])
    })
  )

  it("registers all or nothing", async () => {
    const registry = new Prometheus.Registry()
    registry.registerMetric(new Prometheus.Gauge({ name: "writer_queue_limit", help: "taken", registers: [] }))
    assert.throws(() => PromClient.register(registry), "writer_queue_limit has already been registered")
    assert.deepStrictEqual(
      registry.getMetricsAsArray().map(({ name }) => name),
      ["writer_queue_limit"]
    )
  })

  it("tells apart what cannot be a name of Prometheus", () => {
    const names = new Set(PromClient.families().map(({ name }) => name))
    for (const name of names) assert.match(name, /^[a-zA-Z_:][a-zA-Z0-9_:]*$/)
    Effect.runSync(Metric.set(Metric.gauge("not a name"), 1))
    Effect.runSync(Metric.set(PresenceMetrics.parked, 0))
    const after = PromClient.families().map(({ name }) => name)
    assert.notInclude(after, "not a name")
    assert.include(after, "presence_parked")
  })
})
