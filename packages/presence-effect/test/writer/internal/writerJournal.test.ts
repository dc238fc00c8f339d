import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as WriterJournal from "../../../src/writer/internal/writerJournal.ts"
import * as Lane from "../../../src/writer/Lane.ts"
import { DatabaseFull } from "../../../src/writer/WriterError.ts"
import * as WriterPolicy from "../../../src/writer/WriterPolicy.ts"
import * as WallClock from "../../support/wallClock.ts"

const hour = 3_600_000

describe("writerJournal", () => {
  for (const [name, jump] of [
    ["an hour forward", hour],
    ["two hours back", -2 * hour]
  ] as const) {
    it.effect(`tells true ages after the wall clock was set ${name}`, () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(10 * hour)
        const { clock, set } = yield* WallClock.make
        const journal = WriterJournal.make(yield* WriterPolicy.resolve(WriterPolicy.defaults), clock)
        journal.committed()
        journal.holding(Lane.data)
        journal.failed(new DatabaseFull({ lane: Lane.data, code: "SQLITE_FULL", detail: "" }))
        yield* TestClock.adjust("3 seconds")
        set(jump)
        yield* TestClock.adjust("4 seconds")
        const since = clock.unsafeCurrentTimeMillis() - 7_000
        assert.strictEqual(journal.lastCommitMillis(), since)
        assert.deepStrictEqual(journal.holder(), { lane: Lane.data, sinceMillis: since })
        assert.deepStrictEqual(journal.lastFailure(), { tag: "DatabaseFull", atMillis: since })
      })
    )
  }
})
