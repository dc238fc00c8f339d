import { assert, describe, it } from "@effect/vitest"
import * as HistogramWindow from "../../src/status/HistogramWindow.ts"

const before = {
  count: 10,
  buckets: [
    [0.1, 10],
    [1, 10],
    [Number.POSITIVE_INFINITY, 10]
  ]
} as const

const after = {
  count: 110,
  buckets: [
    [0.1, 100],
    [1, 108],
    [Number.POSITIVE_INFINITY, 110]
  ]
} as const

describe("HistogramWindow", () => {
  it("has quantiles of what was counted in between, and not of what was before", () => {
    const window = HistogramWindow.since(before, after)
    assert.strictEqual(window.count, 100)
    assert.closeTo(HistogramWindow.quantile(window, 0.45) ?? 0, 0.05, 1e-9)
    assert.closeTo(HistogramWindow.quantile(window, 0.94) ?? 0, 0.55, 1e-9)
  })

  it("answers with the last bound for what is above it, and with nothing where nothing was counted", () => {
    assert.strictEqual(HistogramWindow.quantile(HistogramWindow.since(before, after), 0.999), 1)
    assert.isUndefined(HistogramWindow.quantile(HistogramWindow.since(before, before), 0.5))
  })

  it("adds histograms of several labels", () => {
    const both = HistogramWindow.sum([before, after, HistogramWindow.empty])
    assert.strictEqual(both.count, 120)
  })
})
