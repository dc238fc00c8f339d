import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { createHistogram } from "node:perf_hooks"
import * as LoopDelayWindow from "../../src/health/LoopDelayWindow.ts"

describe("LoopDelayWindow", () => {
  it.scoped("gives every reader the same values, and forgets a delay after a minute", () =>
    Effect.gen(function* () {
      const [older, newer] = [createHistogram(), createHistogram()]
      const window = yield* LoopDelayWindow.fromHistograms(older, newer)
      assert.strictEqual(window.seconds(100), 0)
      for (const histogram of [older, newer]) histogram.record(500_000_000)
      const first = window.seconds(100)
      assert.closeTo(first, 0.5, 0.01)
      assert.strictEqual(window.seconds(100), first)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(window.seconds(100), first)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(window.seconds(100), 0)
    })
  )

  it.scoped("measures this process", () =>
    Effect.gen(function* () {
      const window = yield* LoopDelayWindow.make
      assert.isAtLeast(window.seconds(50), 0)
    })
  )
})
