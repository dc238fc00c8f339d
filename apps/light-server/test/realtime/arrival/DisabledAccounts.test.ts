import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as DisabledAccounts from "../../../src/realtime/arrival/DisabledAccounts.ts"

describe("DisabledAccounts", () => {
  it.effect("holds a client below the handshake limit, and no more than its own limit at once", () =>
    Effect.gen(function* () {
      const accounts = DisabledAccounts.make(1)
      const held = yield* Effect.fork(accounts.hold() ?? Effect.dieMessage("is not held"))
      assert.isUndefined(accounts.hold())
      yield* TestClock.adjust("7 seconds")
      assert.isNull(held.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(held)
      const next = yield* Effect.fork(accounts.hold() ?? Effect.dieMessage("is not held"))
      yield* Effect.yieldNow()
      // A client that leaves makes room for another one.
      yield* Fiber.interrupt(next)
      assert.isDefined(accounts.hold())
    })
  )
})
