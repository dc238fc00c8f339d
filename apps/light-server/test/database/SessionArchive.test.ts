import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as FixtureBox from "proving/fixtures/FixtureBox"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as SessionArchive from "../../src/database/SessionArchive.ts"

const placeOf = (box: FixtureBox.FixtureBox) => {
  box.exec("PRAGMA journal_mode = WAL")
  const reader = DatabaseReader.layer({ filename: box.filename })
  return Effect.provide(SessionArchive.SessionArchive, Layer.provide(SessionArchive.layer, reader))
}

describe("SessionArchive", () => {
  it.effect("is our own table unless a layer provides another place", () =>
    Effect.map(SessionArchive.SessionArchive, ({ isShared }) => assert.isFalse(isShared))
  )

  it.scoped("is the column of other servers in a file that has it", () =>
    Effect.gen(function* () {
      const early = yield* FixtureBox.make("integers")
      assert.isFalse((yield* placeOf(early)).isShared)
      const later = yield* FixtureBox.make("iso-text")
      assert.isTrue((yield* placeOf(later)).isShared)
    })
  )

  it.scoped("counts rows of our table from before the other server added its column", () =>
    Effect.gen(function* () {
      const box = yield* FixtureBox.make("iso-text")
      yield* box.adopt()
      box.exec(`INSERT INTO PresenceSessionArchive VALUES ('s1', 7), ('s2', 7)`)
      const { archivedAt } = yield* placeOf(box)
      assert.deepStrictEqual(box.all(`SELECT id, ${archivedAt} = 7 AS isOurs FROM Session ORDER BY id`), [
        { id: "s1", isOurs: 1 },
        { id: "s2", isOurs: 0 },
        { id: "s3", isOurs: null }
      ])
    })
  )
})
