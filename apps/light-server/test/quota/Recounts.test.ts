/** The counts are stubs: what matters is when they begin. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, TestClock } from "effect"
import { ReadTimeout } from "../../src/database/ReadFailure.ts"
import * as Recounts from "../../src/quota/Recounts.ts"

/** Notes each count as it begins; each ends when it is told to. */
const prepared = Effect.gen(function* () {
  const begun: Array<string> = []
  const ends: Array<Deferred.Deferred<void, ReadTimeout>> = []
  const recounts = yield* Recounts.fromRecount((accountId) =>
    Effect.gen(function* () {
      begun.push(accountId)
      const end = yield* Deferred.make<void, ReadTimeout>()
      ends.push(end)
      yield* Deferred.await(end)
    })
  )
  const settle = Effect.repeatN(Effect.yieldNow(), 20)
  const end = Effect.suspend(() => Deferred.succeed(ends.at(-1)!, undefined)).pipe(Effect.zipRight(settle))
  const fail = Effect.suspend(() =>
    Deferred.fail(ends.at(-1)!, new ReadTimeout({ readClass: "report", limitMillis: 8000 }))
  ).pipe(Effect.zipRight(settle))
  return { begun, recounts, settle, end, fail }
})

describe("Recounts", () => {
  it.scoped("counts accounts one after the other, and each once", () =>
    Effect.gen(function* () {
      const { begun, end, recounts, settle } = yield* prepared
      for (const accountId of ["a1", "a2", "a1", "a2"]) yield* recounts.later(accountId)
      yield* settle
      assert.deepStrictEqual(begun, ["a1"])
      yield* end
      assert.deepStrictEqual(begun, ["a1", "a2"])
      yield* end
      yield* recounts.later("a1")
      yield* settle
      assert.deepStrictEqual(begun, ["a1", "a2"])
      assert.isFalse(yield* recounts.now("a1"))
    })
  )

  it.scoped("counts once more what changes while it is counted", () =>
    Effect.gen(function* () {
      const { begun, end, recounts, settle } = yield* prepared
      yield* recounts.later("a1")
      yield* settle
      yield* recounts.anew("a1")
      yield* recounts.anew("a1")
      yield* end
      assert.deepStrictEqual(begun, ["a1", "a1"])
      yield* end
      assert.deepStrictEqual(begun, ["a1", "a1"])
    })
  )

  it.scoped("lets a refused write wait for the count that is under way, and no longer than 4 s", () =>
    Effect.gen(function* () {
      const { begun, end, recounts, settle } = yield* prepared
      yield* recounts.later("a1")
      yield* settle
      const waiting = yield* Effect.fork(recounts.now("a1"))
      yield* settle
      assert.isNull(waiting.unsafePoll())
      yield* end
      assert.isTrue(yield* Fiber.join(waiting))
      assert.deepStrictEqual(begun, ["a1"])

      const stuck = yield* Effect.fork(recounts.now("a2"))
      yield* TestClock.adjust("3900 millis")
      assert.isNull(stuck.unsafePoll())
      yield* TestClock.adjust("100 millis")
      assert.isTrue(yield* Fiber.join(stuck))
    })
  )

  it.scoped("tries a count that failed again after a minute", () =>
    Effect.gen(function* () {
      const { begun, end, fail, recounts, settle } = yield* prepared
      yield* recounts.later("a1")
      yield* settle
      yield* fail
      yield* recounts.later("a1")
      assert.isFalse(yield* recounts.now("a1"))
      yield* TestClock.adjust("59 seconds")
      yield* recounts.later("a1")
      yield* settle
      assert.deepStrictEqual(begun, ["a1"])
      yield* TestClock.adjust("1 seconds")
      yield* recounts.later("a1")
      yield* settle
      assert.deepStrictEqual(begun, ["a1", "a1"])
      yield* end
    })
  )
})
