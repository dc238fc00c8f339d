import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import * as Replica from "../../src/presence/Replica.ts"

const start = 1_800_000_000_000

/** A store of leases whose clock is ahead, and that can be away or forget a lease. */
const makeStore = Effect.gen(function* () {
  yield* TestClock.setTime(start)
  const state = { ahead: 30_000, isAway: false, isLost: false, begun: 0, ended: [] as Array<string>, roundTrip: 0 }
  const call = <A>(answer: (now: number) => A) =>
    Effect.gen(function* () {
      if (state.isAway) return yield* Effect.fail("away" as const)
      if (state.roundTrip > 0) yield* Effect.sleep(state.roundTrip / 2)
      const now = yield* Clock.currentTimeMillis
      if (state.roundTrip > 0) yield* Effect.sleep(state.roundTrip / 2)
      return answer(now + state.ahead)
    })
  const store = (): Replica.LeaseStore<"away"> => ({
    begin: call((nowMillis) => ({ epoch: `epoch ${++state.begun}`, nowMillis })),
    beat: () =>
      call((now) => {
        if (!state.isLost) return now
        state.isLost = false
        return undefined
      }),
    end: (epoch) => call(() => void state.ended.push(epoch))
  })
  return { state, store }
})

describe("Replica", () => {
  it.scoped("measures the clock of the database, and lets noise not move it", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeStore
      const replica = yield* Replica.make(store)
      assert.strictEqual(replica.clockOffsetMillis(), 30_000)
      state.ahead = 30_015
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(replica.clockOffsetMillis(), 30_000)
      state.ahead = 31_000
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(replica.clockOffsetMillis(), 31_000)
      assert.strictEqual((yield* Metric.value(PresenceMetrics.clockOffsetSeconds)).value, 31)
      const clock = Replica.databaseClock(replica, yield* Effect.clock)
      assert.strictEqual(yield* clock.currentTimeMillis, (yield* Clock.currentTimeMillis) + 31_000)
    })
  )

  it.scoped("keeps its epoch through beats that fail, and says how old the lease is", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeStore
      const replica = yield* Replica.make(store)
      state.isAway = true
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* replica.status, {
        epoch: "epoch 1",
        leaseAgeMillis: 20_000,
        isLeaseHeld: false,
        lostLeases: 0,
        clockOffsetMillis: 30_000
      })
      assert.strictEqual((yield* Metric.value(PresenceMetrics.leaseAgeSeconds)).value, 18)
      state.isAway = false
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* replica.status, { epoch: "epoch 1", leaseAgeMillis: 0, isLeaseHeld: true })
    })
  )

  it.scoped("serves under a new epoch after its lease was lost, and says so to its listeners", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeStore
      const replica = yield* Replica.make(store)
      const epochs: Array<string> = []
      const scope = yield* Scope.make()
      yield* Scope.extend(
        replica.onNewLease(() => void epochs.push(replica.epoch())),
        scope
      )
      const before = (yield* Metric.value(PresenceMetrics.leasesLost)).count
      state.isLost = true
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(epochs, ["epoch 2"])
      assert.strictEqual((yield* Metric.value(PresenceMetrics.leasesLost)).count, before + 1)
      yield* Scope.close(scope, Exit.void)
      state.isLost = true
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual([epochs, replica.epoch()], [["epoch 2"], "epoch 3"])
    })
  )

  it.effect("ends the lease that it has with its scope, and not without an answer", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeStore
      yield* Effect.scoped(Replica.make(store))
      assert.deepStrictEqual(state.ended, ["epoch 1"])
      yield* Effect.scoped(
        Effect.tap(Replica.make(store), () =>
          Effect.sync(() => {
            state.isAway = true
          })
        )
      )
      assert.deepStrictEqual(state.ended, ["epoch 1"])
    })
  )

  it.effect("fails with what the store says, and names durations that cannot keep a lease", () =>
    Effect.gen(function* () {
      const { state, store } = yield* makeStore
      const invalid = yield* Effect.flip(Effect.scoped(Replica.make(store, { lease: "8 seconds", grace: -1 })))
      assert.include(String(invalid), "lease must be finite and at least three times beatInterval")
      state.isAway = true
      assert.strictEqual(yield* Effect.flip(Effect.scoped(Replica.make(store))), "away")
    })
  )
})
