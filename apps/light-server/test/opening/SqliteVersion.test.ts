import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as SqliteVersion from "../../src/opening/SqliteVersion.ts"

describe("SqliteVersion", () => {
  it.effect.each(["3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.0", "3.51.2"])("refuses %s", (version) =>
    Effect.gen(function* () {
      const { message } = yield* Effect.flip(SqliteVersion.demandSound(version))
      assert.include(message, `SQLite ${version} can damage the database`)
      assert.include(message, "3.51.3")
    })
  )

  it.effect.each(["3.6.23", "3.44.6", "3.50.7", "3.51.3", "3.52.0", "3.53.2", "4.0.0"])("takes %s", (version) =>
    SqliteVersion.demandSound(version)
  )

  it.effect("finds the one that is linked sound", () =>
    Effect.gen(function* () {
      assert.match(SqliteVersion.linked(), /^3\.\d+\.\d+$/)
      yield* SqliteVersion.demandSound(SqliteVersion.linked())
    })
  )
})
