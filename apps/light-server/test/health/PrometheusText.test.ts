import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries } from "effect"
import * as PrometheusText from "../../src/health/PrometheusText.ts"

const linesOf = (name: string) =>
  Effect.map(PrometheusText.render, (text) => text.split("\n").filter((line) => line.startsWith(name)))

describe("PrometheusText", () => {
  it.effect("writes counters and gauges with their labels", () =>
    Effect.gen(function* () {
      const counter = Metric.counter("text_counter_total", { description: "A counter" })
      yield* Metric.incrementBy(Metric.tagged(counter, "lane", "control"), 3)
      yield* Metric.incrementBy(Metric.tagged(counter, "lane", "data"), 1)
      yield* Metric.set(Metric.gauge("text_gauge"), -1.5)
      assert.deepStrictEqual((yield* linesOf("text_counter")).toSorted(), [
        `text_counter_total{lane="control"} 3`,
        `text_counter_total{lane="data"} 1`
      ])
      assert.deepStrictEqual(yield* linesOf("text_gauge"), ["text_gauge -1.5"])
      assert.deepStrictEqual(yield* linesOf("# HELP text_counter"), ["# HELP text_counter_total A counter"])
      assert.deepStrictEqual(yield* linesOf("# TYPE text_counter"), ["# TYPE text_counter_total counter"])
    })
  )

  it.effect("writes histograms with cumulative buckets up to the count", () =>
    Effect.gen(function* () {
      const histogram = Metric.histogram("text_seconds", MetricBoundaries.fromIterable([0.1, 1]))
      for (const value of [0.05, 0.1, 0.5, 7]) yield* Metric.update(histogram, value)
      assert.deepStrictEqual(yield* linesOf("text_seconds"), [
        `text_seconds_bucket{le="0.1"} 2`,
        `text_seconds_bucket{le="1"} 3`,
        `text_seconds_bucket{le="+Inf"} 4`,
        "text_seconds_sum 7.65",
        "text_seconds_count 4"
      ])
    })
  )

  it.effect("escapes what labels hold, and leaves the fibers of Effect out", () =>
    Effect.gen(function* () {
      yield* Metric.set(Metric.tagged(Metric.gauge("text_odd"), "label", `a"b\nc`), 1)
      assert.deepStrictEqual(yield* linesOf("text_odd"), [`text_odd{label="a\\"b\\nc"} 1`])
      assert.deepStrictEqual(yield* linesOf("effect_"), [])
    })
  )
})
