import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries } from "effect"
import * as PrometheusText from "../../src/health/PrometheusText.ts"

const linesOf = (name: string) =>
  Effect.map(PrometheusText.render, (text) => text.split("\n").filter((line) => line.startsWith(name)))

describe("PrometheusText", () => {
  it.effect("writes counters and gauges with their labels", () =>
    Effect.gen(function* () {
      const counter = Metric.counter("test_text_counter_total", { description: "A counter" })
      yield* Metric.incrementBy(Metric.tagged(counter, "lane", "control"), 3)
      yield* Metric.incrementBy(Metric.tagged(counter, "lane", "data"), 1)
      yield* Metric.set(Metric.gauge("test_text_gauge"), -1.5)
      assert.deepStrictEqual((yield* linesOf("test_text_counter")).toSorted(), [
        `test_text_counter_total{lane="control"} 3`,
        `test_text_counter_total{lane="data"} 1`
      ])
      assert.deepStrictEqual(yield* linesOf("test_text_gauge"), ["test_text_gauge -1.5"])
      assert.deepStrictEqual(yield* linesOf("# HELP test_text_counter"), ["# HELP test_text_counter_total A counter"])
      assert.deepStrictEqual(yield* linesOf("# TYPE test_text_counter"), ["# TYPE test_text_counter_total counter"])
    })
  )

  it.effect("writes histograms with cumulative buckets up to the count", () =>
    Effect.gen(function* () {
      const histogram = Metric.histogram("test_text_seconds", MetricBoundaries.fromIterable([0.1, 1]))
      for (const value of [0.05, 0.1, 0.5, 7]) yield* Metric.update(histogram, value)
      assert.deepStrictEqual(yield* linesOf("test_text_seconds"), [
        `test_text_seconds_bucket{le="0.1"} 2`,
        `test_text_seconds_bucket{le="1"} 3`,
        `test_text_seconds_bucket{le="+Inf"} 4`,
        "test_text_seconds_sum 7.65",
        "test_text_seconds_count 4"
      ])
    })
  )

  it.effect("escapes what labels hold, and leaves the fibers of Effect out", () =>
    Effect.gen(function* () {
      yield* Metric.set(Metric.tagged(Metric.gauge("test_text_odd"), "label", `a"b\nc`), 1)
      assert.deepStrictEqual(yield* linesOf("test_text_odd"), [`test_text_odd{label="a\\"b\\nc"} 1`])
      assert.deepStrictEqual(yield* linesOf("effect_"), [])
    })
  )
})
