import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Heartbeat from "../../src/presence/Heartbeat.ts"

const now = 1_800_000_000_000
const window = 600_000

describe("accept", () => {
  it("refuses what is no time", () => {
    for (const claimed of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1, -0.5]) {
      assert.strictEqual(Heartbeat.accept(claimed, now, window), "invalid")
    }
  })

  it("accepts the edge of the window and refuses what is older", () => {
    assert.strictEqual(Heartbeat.accept(now - window, now, window), now - window)
    assert.strictEqual(Heartbeat.accept(now - window - 1, now, window), "ancient")
    assert.strictEqual(Heartbeat.accept(0, now, window), "ancient")
  })

  it("turns the future into now and cuts fractions", () => {
    assert.strictEqual(Heartbeat.accept(now + 1, now, window), now)
    assert.strictEqual(Heartbeat.accept(Number.MAX_VALUE, now, window), now)
    assert.strictEqual(Heartbeat.accept(now - 1.5, now, window), now - 2)
  })

  it("answers a whole number between the window and now, or a refusal", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.double(), FastCheck.integer({ min: 0, max: 2 * now }), (claimed, at) => {
        const accepted = Heartbeat.accept(claimed, at, window)
        return (
          typeof accepted === "string" ||
          (Number.isInteger(accepted) && accepted <= at && accepted >= Math.floor(Math.max(0, at - window)))
        )
      })
    )
  })
})
