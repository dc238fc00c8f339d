import { assert, describe, it } from "@effect/vitest"
import * as EventBudget from "../../../src/realtime/events/EventBudget.ts"

const takes = (budget: EventBudget.EventBudget, count: number, nowMillis: number) =>
  Array.from({ length: count }, () => budget.take(nowMillis)).filter(Boolean).length

describe("EventBudget", () => {
  it("lets a burst through, then what its rate refills", () => {
    const budget = EventBudget.make({ perSecond: 10, burst: 3 }, 0)
    assert.strictEqual(takes(budget, 5, 0), 3)
    assert.strictEqual(takes(budget, 5, 99), 0)
    assert.strictEqual(takes(budget, 5, 200), 2)
  })

  it("never holds more than its burst", () => {
    const budget = EventBudget.make({ perSecond: 10, burst: 3 }, 0)
    assert.strictEqual(takes(budget, 9, 3_600_000), 3)
  })

  it("gains nothing from a clock that steps back and forth", () => {
    const budget = EventBudget.make({ perSecond: 10, burst: 1 }, 1000)
    assert.strictEqual(takes(budget, 1, 1000), 1)
    assert.strictEqual(takes(budget, 1, 0), 0)
    assert.strictEqual(takes(budget, 1, 50), 0)
  })
})
