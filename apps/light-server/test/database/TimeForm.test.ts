import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import * as FixtureBox from "proving/fixtures/FixtureBox"
import * as TestDatabase from "../support/TestDatabase.ts"

const readerOf = (box: FixtureBox.FixtureBox) => {
  box.exec("PRAGMA journal_mode = WAL")
  return DatabaseReader.layer({ filename: box.filename })
}

describe("TimeForm", () => {
  it("sorts by time, and represents the same moment in both forms", () => {
    const moments = [0, 1, 999, 1000, 1_769_947_200_001, 4_102_444_799_999]
    const texts = moments.map((millis) => String(TimeForm.iso.encode(millis)))
    assert.deepStrictEqual(texts.toSorted(), texts)
    assert.strictEqual(texts[4], "2026-02-01T12:00:00.001+00:00")
    assert.deepStrictEqual(texts.map(Date.parse), moments)
    assert.deepStrictEqual(moments.map(TimeForm.integer.encode), moments)
  })

  it.effect("is integers by default", () =>
    Effect.map(TimeForm.TimeForm, ({ name }) => assert.strictEqual(name, "integer"))
  )

  const fixtures = [
    ["integers", "integer"],
    ["iso-text", "iso"]
  ] as const

  it.scoped.each(fixtures)("of %s is %s", ([fixture, expected]) =>
    Effect.gen(function* () {
      const reader = readerOf(yield* FixtureBox.make(fixture))
      const { name } = yield* Effect.provide(TimeForm.TimeForm, Layer.provide(TimeForm.layer, reader))
      assert.strictEqual(name, expected)
    })
  )

  it.scoped("follows the newest rows, and does not count what a default of a column wrote", () =>
    Effect.gen(function* () {
      const box = yield* FixtureBox.make("integers")
      box.exec(`UPDATE Account SET createdAt = '2026-02-01 12:00:00';
        UPDATE Session SET lastActiveAt = CURRENT_TIMESTAMP;
        UPDATE Machine SET lastActiveAt = '2026-02-01T12:00:00.000Z' WHERE id = 'm1'`)
      const detect = Effect.provide(TimeForm.detect, readerOf(box))
      // One of each: integers win.
      assert.strictEqual((yield* detect).name, "integer")
      box.exec("UPDATE Machine SET lastActiveAt = '2026-02-01T12:00:00.000Z'")
      assert.strictEqual((yield* detect).name, "iso")
    })
  )

  it.effect("of a file without rows is integers", () =>
    Effect.map(TimeForm.detect, ({ name }) => assert.strictEqual(name, "integer")).pipe(
      Effect.provide(TestDatabase.layer)
    )
  )
})
