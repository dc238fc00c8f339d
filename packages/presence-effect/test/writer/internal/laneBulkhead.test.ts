import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as LaneBulkhead from "../../../src/writer/internal/laneBulkhead.ts"
import * as Lane from "../../../src/writer/Lane.ts"
import type { Waiter } from "../../../src/writer/LaneSemaphore.ts"

const lanes = [
  { lane: Lane.control, capacity: 4 },
  { lane: Lane.data, capacity: 4 },
  { lane: Lane.presence, capacity: 4 }
]

const make = (permits: number, bypassLimit = 4) =>
  LaneBulkhead.make({ lanes, bypassLimit, permits, onQueue: () => undefined })

/** A waiter whose turn lasts until the test ends it. */
const waiterOf = (lane: Lane.Lane) => {
  const state = { isRunning: false, isClosed: false }
  const end = Effect.runSync(Deferred.make<void>())
  const waiter: Waiter = {
    lane,
    isCompanion: true,
    turn: Effect.suspend(() => {
      state.isRunning = true
      return Effect.ensuring(
        Deferred.await(end),
        Effect.sync(() => {
          state.isRunning = false
        })
      )
    }),
    closed: () => {
      state.isClosed = true
    }
  }
  const finish = Effect.zipRight(Deferred.succeed(end, undefined), Effect.repeatN(Effect.yieldNow(), 8))
  return { waiter, state, finish }
}

describe("the bulkhead", () => {
  it.effect("begins a turn before it returns while a permit is free", () =>
    Effect.gen(function* () {
      const bulkhead = yield* make(2)
      const [data, control, late] = [waiterOf(Lane.data), waiterOf(Lane.control), waiterOf(Lane.control)]
      for (const { waiter } of [data, control, late]) assert.isUndefined(bulkhead.enter(waiter))
      assert.deepStrictEqual(
        [data, control, late].map(({ state }) => state.isRunning),
        [true, true, false]
      )
      assert.strictEqual(bulkhead.waiterCount(Lane.control), 1)
      yield* data.finish
      assert.isTrue(late.state.isRunning)
    })
  )

  it.effect("never gives the last permit to another lane than the first, at every number of permits", () =>
    Effect.gen(function* () {
      for (const permits of [2, 3, 5]) {
        const bulkhead = yield* make(permits)
        const others = Array.from({ length: 6 }, (_, index) => waiterOf(index % 2 === 0 ? Lane.data : Lane.presence))
        for (const { waiter } of others) bulkhead.enter(waiter)
        assert.strictEqual(others.filter(({ state }) => state.isRunning).length, permits - 1)
        const control = waiterOf(Lane.control)
        bulkhead.enter(control.waiter)
        assert.isTrue(control.state.isRunning)
      }
    })
  )

  it.effect("gives a lane its turn that many writes of the first lane passed over", () =>
    Effect.gen(function* () {
      const bulkhead = yield* make(2, 2)
      const controls = Array.from({ length: 6 }, () => waiterOf(Lane.control))
      const data = waiterOf(Lane.data)
      for (const { waiter } of controls.slice(0, 3)) bulkhead.enter(waiter)
      bulkhead.enter(data.waiter)
      for (const { waiter } of controls.slice(3)) bulkhead.enter(waiter)
      yield* controls[0]!.finish
      yield* controls[1]!.finish
      assert.isFalse(data.state.isRunning)
      yield* controls[2]!.finish
      assert.isTrue(data.state.isRunning)
    })
  )

  it.effect("refuses what is beyond the capacity of a lane, and everything once it is closed", () =>
    Effect.gen(function* () {
      const bulkhead = yield* make(2)
      const waiters = Array.from({ length: 5 }, () => waiterOf(Lane.data))
      for (const { waiter } of waiters) assert.isUndefined(bulkhead.enter(waiter))
      assert.deepInclude(bulkhead.enter(waiterOf(Lane.data).waiter), { _tag: "LaneOverflow", waiterCount: 4 })
      assert.isTrue(bulkhead.leave(waiters[4]!.waiter))
      assert.isFalse(bulkhead.leave(waiters[4]!.waiter))
      assert.strictEqual(bulkhead.takeCompanions(Lane.data, 1).length, 1)
      yield* bulkhead.close
      assert.deepStrictEqual(
        waiters.map(({ state }) => state.isClosed),
        [false, false, true, true, false]
      )
      assert.deepInclude(bulkhead.enter(waiterOf(Lane.control).waiter), { _tag: "WriterClosed" })
      const free = yield* Effect.fork(bulkhead.awaitFree)
      yield* Effect.repeatN(Effect.yieldNow(), 8)
      assert.isNull(free.unsafePoll())
      yield* waiters[0]!.finish
      assert.isNotNull(free.unsafePoll())
    })
  )

  it.effect("takes a permit back also from a turn that dies", () =>
    Effect.gen(function* () {
      const bulkhead = yield* make(2)
      for (let round = 0; round < 5; round++) {
        bulkhead.enter({ ...waiterOf(Lane.data).waiter, turn: Effect.die("a defect") })
        yield* Effect.repeatN(Effect.yieldNow(), 8)
      }
      yield* bulkhead.awaitFree
      const data = waiterOf(Lane.data)
      bulkhead.enter(data.waiter)
      assert.isTrue(data.state.isRunning)
    })
  )
})
