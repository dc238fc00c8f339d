import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Deadlines from "../../../src/writer/internal/deadlines.ts"

const make = Effect.flatMap(Effect.clock, Deadlines.make)

describe("deadlines", () => {
  it.scoped("expires an entry in its own millisecond, not before", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      const expired: Array<number> = []
      for (const millis of [1, 500, 501]) deadlines.add(millis, () => expired.push(millis))
      yield* TestClock.adjust("499 millis")
      assert.deepStrictEqual(expired, [1])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(expired, [1, 500])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(expired, [1, 500, 501])
    })
  )

  it.scoped("wakes earlier for an entry that is nearer than the one it sleeps for", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      const expired: Array<string> = []
      deadlines.add(60_000, () => expired.push("far"))
      yield* TestClock.adjust("10 seconds")
      deadlines.add(1_000, () => expired.push("near"))
      deadlines.add(500, () => expired.push("nearest"))
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(expired, ["nearest"])
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(expired, ["nearest", "near"])
      yield* TestClock.adjust("48999 millis")
      assert.deepStrictEqual(expired, ["nearest", "near"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(expired, ["nearest", "near", "far"])
    })
  )

  it.scoped("wakes again after it has had nothing to do", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      let count = 0
      for (let round = 0; round < 3; round++) {
        deadlines.add(10, () => count++)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(count, round + 1)
      }
    })
  )

  it.scoped("takes an entry that is added while another expires", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      const expired: Array<number> = []
      const chain = (step: number): void => {
        expired.push(deadlines.now())
        if (step < 3) deadlines.add(100, () => chain(step + 1))
      }
      deadlines.add(100, () => chain(1))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(expired, [100, 200, 300])
    })
  )

  it.scoped("expires at once what is due now", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      let isExpired = false
      deadlines.add(0, () => {
        isExpired = true
      })
      yield* TestClock.adjust(0)
      assert.isTrue(isExpired)
    })
  )

  it.scoped("expires many entries in the order of their time, each once", () =>
    Effect.gen(function* () {
      const sample = FastCheck.sample(FastCheck.array(FastCheck.nat(120), { minLength: 300, maxLength: 300 }), {
        numRuns: 3,
        seed: 17
      })
      for (const limits of sample) {
        const deadlines = yield* make
        const startedAt = deadlines.now()
        const expired: Array<{ readonly limit: number; readonly at: number }> = []
        for (const limit of limits) {
          deadlines.add(limit, () => expired.push({ limit, at: deadlines.now() - startedAt }))
        }
        yield* TestClock.adjust("120 millis")
        assert.deepStrictEqual(
          expired.map(({ limit }) => limit),
          limits.toSorted((a, b) => a - b)
        )
        for (const { at, limit } of expired) assert.strictEqual(at, limit)
      }
    })
  )

  it.effect("expires nothing once its scope is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const deadlines = yield* Scope.extend(make, scope)
      let count = 0
      deadlines.add(100, () => count++)
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(count, 0)
    })
  )
})

describe("a limit that is taken back", () => {
  it.scoped("expires nothing, and lets go of what it referred to", () =>
    Effect.gen(function* () {
      const deadlines = yield* make
      const expired: Array<string> = []
      const cancel = deadlines.add(100, () => expired.push("cancelled"))
      deadlines.add(200, () => expired.push("kept"))
      cancel()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(expired, ["kept"])
    })
  )
})
