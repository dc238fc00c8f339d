import { assert, describe, it } from "@effect/vitest"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

describe("TimeLimit", () => {
  it("throws for a missed limit on a box with processor time to give", () => {
    assert.isUndefined(TimeLimit.doubt(1.2))
    assert.doesNotThrow(() => TimeLimit.holds("an answer", 99, 100, 1.2))
    assert.throws(() => TimeLimit.holds("an answer", 100, 100, 1.2), /an answer: 100, which is not below 100/)
  })

  it("calls it inconclusive, with the load, on a box that is too busy", () => {
    assert.strictEqual(TimeLimit.doubt(4), "inconclusive, box too busy (4 runnable threads per processor)")
    assert.doesNotThrow(() => TimeLimit.holds("an answer", 5000, 100, 4))
    assert.throws(() => TimeLimit.holds("an answer", Number.NaN, 100, 4))
  })
})
