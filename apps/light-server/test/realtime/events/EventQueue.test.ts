import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as EventQueue from "../../../src/realtime/events/EventQueue.ts"

const entered = (queue: EventQueue.EventQueue, handler: Effect.Effect<void>) => {
  const turn = queue.enter(handler)
  if (turn === undefined) throw new Error("the queue is full")
  return turn
}

describe("EventQueue", () => {
  it.effect("runs handlers one at a time in the order of their places, whichever starts first", () =>
    Effect.gen(function* () {
      const queue = EventQueue.make(10)
      const log: Array<string> = []
      const handler = (name: string) =>
        Effect.sync(() => log.push(`${name} begins`)).pipe(
          Effect.zipRight(Effect.yieldNow()),
          Effect.zipRight(Effect.sync(() => void log.push(`${name} ends`)))
        )
      const turns = ["a", "b", "c"].map((name) => entered(queue, handler(name)))
      yield* Effect.all(turns.toReversed(), { concurrency: "unbounded" })
      assert.deepStrictEqual(log, ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"])
    })
  )

  it.effect("lets no more wait than its limit, and more again when one has ended", () =>
    Effect.gen(function* () {
      const queue = EventQueue.make(2)
      const gate = yield* Deferred.make<void>()
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(entered(queue, Deferred.await(gate))))
      assert.isUndefined(queue.enter(Effect.void))
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(fibers)
      for (let count = 0; count < 5; count++) yield* entered(queue, Effect.void)
    })
  )

  it.effect("goes on after a handler that dies, and after one that is interrupted while it waits", () =>
    Effect.gen(function* () {
      const queue = EventQueue.make(10)
      const gate = yield* Deferred.make<void>()
      const first = yield* Effect.fork(entered(queue, Effect.zipRight(Deferred.await(gate), Effect.die("broken"))))
      const second = yield* Effect.fork(entered(queue, Effect.void))
      const third = yield* Effect.fork(entered(queue, Effect.void))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(second)
      yield* Deferred.succeed(gate, undefined)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(first)))
      yield* Fiber.join(third)
      yield* entered(queue, Effect.void)
    })
  )
})
