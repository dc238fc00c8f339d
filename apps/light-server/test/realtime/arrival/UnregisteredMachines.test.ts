import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as PresenceKey from "../../../src/entities/PresenceKey.ts"
import * as UnregisteredMachines from "../../../src/realtime/arrival/UnregisteredMachines.ts"

const key = PresenceKey.machine("a1", "m1")

/** How long the refusal of a machine waits, in seconds. */
const waitOf = (machines: UnregisteredMachines.UnregisteredMachines, row = key) =>
  Effect.gen(function* () {
    const wait = machines.refuse(row)
    if (wait === undefined) return 0
    const fiber = yield* Effect.fork(wait)
    for (let seconds = 1; seconds <= 20; seconds++) {
      yield* TestClock.adjust("1 second")
      if (fiber.unsafePoll() !== null) return seconds
    }
    yield* Fiber.interrupt(fiber)
    return undefined
  })

describe("UnregisteredMachines", () => {
  it.effect("refuses a machine at once twice, then later each time, but before the handshake limit", () =>
    Effect.gen(function* () {
      const machines = UnregisteredMachines.make(10)
      const waits: Array<number | undefined> = []
      for (let count = 0; count < 8; count++) waits.push(yield* waitOf(machines))
      assert.deepStrictEqual(waits, [0, 0, 1, 2, 4, 8, 8, 8])
      assert.strictEqual(yield* waitOf(machines, PresenceKey.machine("a2", "m1")), 0)
    })
  )

  it.effect("keeps no more waiting than its limit", () =>
    Effect.gen(function* () {
      const machines = UnregisteredMachines.make(1)
      for (let count = 0; count < 3; count++) yield* waitOf(machines)
      const waiting = yield* Effect.fork(machines.refuse(key) ?? Effect.dieMessage("does not wait"))
      assert.strictEqual(yield* waitOf(machines), 0)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(yield* waitOf(machines), 8)
    })
  )
})
