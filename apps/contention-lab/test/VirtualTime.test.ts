import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber } from "effect"
import * as VirtualTime from "../src/VirtualTime.ts"

const options = { seed: 1, startMillis: 1_000 }

describe("VirtualTime", () => {
  it.live("moves to the next wake-up, in the order of time", () =>
    Effect.gen(function* () {
      const woken: Array<string> = []
      const sleeper = (name: string, millis: number) =>
        Effect.zipRight(
          Clock.sleep(millis),
          Effect.map(Clock.currentTimeMillis, (now) => void woken.push(`${name} ${now}`))
        )
      const sleepers = [sleeper("late", 30), sleeper("early", 10), sleeper("early too", 10), sleeper("middle", 20)]
      yield* VirtualTime.run(Effect.all(sleepers, { concurrency: "unbounded" }), options)
      assert.deepStrictEqual(woken, ["early 1010", "early too 1010", "middle 1020", "late 1030"])
    })
  )

  it.live("takes no real time for a day", () =>
    Effect.gen(function* () {
      const startedAt = performance.now()
      const ticks = yield* VirtualTime.run(
        Effect.iterate(0, {
          while: (count) => count < 86_400,
          body: (count) => Effect.as(Clock.sleep(1_000), count + 1)
        }),
        options
      )
      assert.strictEqual(ticks, 86_400)
      assert.isBelow(performance.now() - startedAt, 10_000)
    })
  )

  it.live("forgets a sleeper that is interrupted, and times out on its own clock", () =>
    Effect.gen(function* () {
      const passed = yield* VirtualTime.run(
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(Clock.sleep("1 hour"))
          yield* Clock.sleep("1 second")
          yield* Fiber.interrupt(fiber)
          const nothing = yield* Effect.timeoutOption(Effect.never, "5 seconds")
          assert.strictEqual(nothing._tag, "None")
          return yield* Clock.currentTimeMillis
        }),
        options
      )
      assert.strictEqual(passed, 7_000)
    })
  )

  it.live("says so when everything waits for nothing", () =>
    Effect.gen(function* () {
      const stuck = Effect.flatMap(Deferred.make<void>(), Deferred.await)
      const exit = yield* Effect.exit(VirtualTime.run(stuck, options))
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "virtual time has nowhere to go")
    })
  )

  it.live("hands on failures", () =>
    Effect.gen(function* () {
      const failed = Effect.zipRight(Clock.sleep(5), Effect.fail("as told"))
      assert.strictEqual(yield* Effect.flip(VirtualTime.run(failed, options)), "as told")
    })
  )
})
