import { assert, describe, it } from "@effect/vitest"
import * as ConnectionSlots from "../../../src/realtime/arrival/ConnectionSlots.ts"

const options = { accountSocketLimit: 2, accountEventsPerSecond: 1, accountEventBurst: 3 }

describe("ConnectionSlots", () => {
  it("gives an account as many slots as its limit, and other accounts theirs", () => {
    const slots = ConnectionSlots.make(options)
    const first = slots.take("a1", 0)
    assert.isDefined(slots.take("a1", 0))
    assert.isUndefined(slots.take("a1", 0))
    assert.isDefined(slots.take("a2", 0))
    assert.strictEqual(slots.count(), 3)
    first?.leave()
    assert.isDefined(slots.take("a1", 0))
  })

  it("counts a slot that is released twice once", () => {
    const slots = ConnectionSlots.make(options)
    const [first] = [slots.take("a1", 0), slots.take("a1", 0)]
    first?.leave()
    first?.leave()
    assert.strictEqual(slots.count(), 1)
    assert.isDefined(slots.take("a1", 0))
    assert.isUndefined(slots.take("a1", 0))
  })

  it("lets the sockets of an account share one budget", () => {
    const slots = ConnectionSlots.make(options)
    const [one, two] = [slots.take("a1", 0)?.budget, slots.take("a1", 0)?.budget]
    assert.deepStrictEqual([one?.take(0), two?.take(0), one?.take(0), two?.take(0)], [true, true, true, false])
    assert.isTrue(one?.take(1000))
    assert.isTrue(slots.take("a2", 0)?.budget.take(0))
  })
})
