import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, TestClock } from "effect"
import * as FinalizerLimit from "../src/FinalizerLimit.ts"

describe("FinalizerLimit", () => {
  it.effect("stops waiting for an effect that does not end, in a finalizer as well", () =>
    Effect.gen(function* () {
      let outcome = "none"
      const scoped = Effect.scoped(
        Effect.addFinalizer(() =>
          Effect.never.pipe(
            FinalizerLimit.within("2 seconds"),
            Effect.map((found) => {
              outcome = found._tag
            })
          )
        )
      )
      const fiber = yield* Effect.fork(scoped)
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(outcome, "none")
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(fiber)
      assert.strictEqual(outcome, "None")
    })
  )

  it.effect("runs the effect when the fiber was interrupted before", () =>
    Effect.gen(function* () {
      let outcome: Option.Option<string> = Option.none()
      const fiber = yield* Effect.never.pipe(
        Effect.ensuring(
          Effect.sleep("1 second").pipe(
            Effect.as("ended"),
            FinalizerLimit.within("2 seconds"),
            Effect.map((found) => {
              outcome = found
            })
          )
        ),
        Effect.fork
      )
      yield* Effect.yieldNow()
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(outcome, Option.some("ended"))
    })
  )
})
