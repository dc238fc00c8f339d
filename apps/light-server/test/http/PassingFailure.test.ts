import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import {
  DatabaseBusy,
  DatabaseCorrupt,
  DatabaseFull,
  WriteRejected,
  WriterClosed
} from "presence-effect/writer/WriterError"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import { NotFound } from "../../src/Failure.ts"
import type { Failure } from "../../src/http/FailureTable.ts"
import * as PassingFailure from "../../src/http/PassingFailure.ts"

const lane = Lane.control
const busy = new DatabaseBusy({ lane, code: "SQLITE_BUSY", attempts: 1 })
const full = new DatabaseFull({ lane, code: "SQLITE_FULL", detail: "test" })

describe("PassingFailure", () => {
  it("distinguishes temporary from final failures, as HTTP does", () => {
    for (const failure of [busy, full, new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })]) {
      assert.isTrue(PassingFailure.isPassing(failure), failure._tag)
    }
    for (const failure of [
      new DatabaseCorrupt({ lane, code: "SQLITE_CORRUPT", detail: "test" }),
      new WriteRejected({ lane, code: "SQLITE_CONSTRAINT", detail: "test" }),
      new NotFound({ what: "Session" })
    ]) {
      assert.isFalse(PassingFailure.isPassing(failure), failure._tag)
    }
  })

  it.effect("tries again while a lock is held, and no longer than it may", () =>
    Effect.gen(function* () {
      let isHeld = true
      const attempt: Effect.Effect<string, Failure> = Effect.suspend(() =>
        isHeld ? Effect.fail(busy) : Effect.succeed("done")
      )
      const lucky = yield* Effect.fork(PassingFailure.persist(attempt, 6500))
      yield* TestClock.adjust("5 seconds")
      assert.isNull(lucky.unsafePoll())
      isHeld = false
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* Fiber.join(lucky), "done")
      isHeld = true
      const late = yield* Effect.fork(PassingFailure.persist(attempt, 6500))
      yield* TestClock.adjust("7500 millis")
      assert.deepStrictEqual(yield* Fiber.await(late), Exit.fail(busy))
    })
  )

  it.effect("does not retry failures that last longer, or are final", () =>
    Effect.gen(function* () {
      for (const failure of [full, new WriterClosed({ lane }), new NotFound({ what: "Machine" })]) {
        assert.deepStrictEqual(
          yield* Effect.exit(PassingFailure.persist(Effect.fail(failure), 6500)),
          Exit.fail(failure)
        )
      }
    })
  )
})
