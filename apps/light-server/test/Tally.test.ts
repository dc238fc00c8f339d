import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric, MetricBoundaries } from "effect"
import * as Tally from "../src/Tally.ts"
import { valueOf } from "./support/Gauges.ts"

describe("Tally", () => {
  it.effect("counts each combination of labels separately, in any order of the labels", () =>
    Effect.gen(function* () {
      const count = Tally.counter("test_tally_total", "test", ["first", "second"])
      count({ first: "a", second: "b" })
      count({ second: "b", first: "a" }, 2)
      count({ first: "b", second: "a" }, 4)
      assert.strictEqual(yield* valueOf("test_tally_total", { key: "first", value: "a" }), 3)
      assert.strictEqual(yield* valueOf("test_tally_total", { key: "second", value: "a" }), 4)
      assert.strictEqual(yield* valueOf("test_tally_total"), 7)
    })
  )

  it.effect("sets the last value of a gauge, with labels and without", () =>
    Effect.gen(function* () {
      const set = Tally.gauge("test_tally_depth", "test")
      set({}, 5)
      set({}, 3)
      const setLimit = Tally.gauge("test_tally_limit", "test", ["limit"])
      setLimit({ limit: "a" }, 1)
      setLimit({ limit: "b" }, 2)
      assert.strictEqual(yield* valueOf("test_tally_depth"), 3)
      assert.strictEqual(yield* valueOf("test_tally_limit", { key: "limit", value: "b" }), 2)
    })
  )

  it.effect("adds to the series of a histogram that the metric of the same name reads", () =>
    Effect.gen(function* () {
      const boundaries = MetricBoundaries.fromIterable([1, 2])
      const observe = Tally.histogram("test_tally_seconds", boundaries, "test", ["route"])
      observe({ route: "a" }, 0.5)
      observe({ route: "a" }, 1.5)
      observe({ route: "b" }, 9)
      const metric = Metric.histogram("test_tally_seconds", boundaries, "test")
      const { count, sum } = yield* Metric.value(Metric.tagged(metric, "route", "a"))
      assert.deepStrictEqual({ count, sum }, { count: 2, sum: 2 })
    })
  )
})
