import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Presence from "../../src/Presence.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import * as PresenceTables from "../../src/sqlite/PresenceTables.ts"
import { StorageInvalid } from "../../src/sqlite/SqlitePresenceStorage.ts"
import * as SimulatedDatabase from "../../src/testing/SimulatedDatabase.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"

const start = 1_800_000_000_000

const kinds = {
  device: { table: "Device", accountId: "accountId" },
  job: {},
  seat: { table: 'odd "name"', id: "number", accountId: "room", key: ["accountId", "id"], active: "taken" },
  visit: { lastActiveAt: "seenAt", timeForm: "iso" }
} as const satisfies PresenceKinds

class TestPresence extends Presence.Tag("test/Presence", kinds)<TestPresence>() {}

describe("PresenceTables", () => {
  it.scoped("makes tables in which rows of every kind are flushed and swept", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const schema = PresenceTables.ddl(kinds)
      const database = yield* SimulatedDatabase.make({ schema: schema + schema })
      database.execute(`INSERT INTO Device (id, accountId) VALUES ('d', 'a'); INSERT INTO job (id) VALUES ('j');
        INSERT INTO "odd ""name""" (number, room) VALUES ('1', 'a'), ('1', 'b'); INSERT INTO visit (id) VALUES ('v')`)
      const house = Presence.layerSqlite(TestPresence).pipe(
        Layer.provideMerge(SqliteWriter.layer()),
        Layer.provide(database.layer)
      )
      const states = () =>
        database.query(`SELECT active AS state FROM Device UNION ALL SELECT active FROM job
          UNION ALL SELECT taken FROM "odd ""name""" UNION ALL SELECT active FROM visit`)
      yield* Effect.gen(function* () {
        const presence = yield* TestPresence
        presence.beat({ kind: "device", accountId: "a", id: "d" }, start)
        presence.beat({ kind: "job", id: "j" }, start)
        presence.beat({ kind: "seat", accountId: "b", id: "1" }, start)
        presence.beat({ kind: "visit", id: "v" }, start)
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual(
          states().map(({ state }) => state),
          [1, 1, 0, 1, 1]
        )
        assert.deepStrictEqual(database.query("SELECT seenAt FROM visit"), [
          { seenAt: "2027-01-15T08:00:00.000+00:00" }
        ])
        yield* TestClock.adjust("12 minutes")
        assert.isTrue(states().every(({ state }) => state === 0))
      }).pipe(Effect.provide(house))
    })
  )

  it("gives each sweep its index", () => {
    const database = new Database(":memory:")
    database.exec(PresenceTables.ddl(kinds))
    for (const [table, active, at] of [
      ["Device", "active", "lastActiveAt"],
      ['odd ""name""', "taken", "lastActiveAt"],
      ["visit", "active", "seenAt"]
    ]) {
      const plan = database
        .prepare<[], { detail: string }>(
          `EXPLAIN QUERY PLAN SELECT * FROM "${table}" WHERE "${active}" = 1 AND "${at}" < 9`
        )
        .all()
      assert.match(plan[0]?.detail ?? "", /USING INDEX .*\(\w+=\? AND \w+<\?\)/)
    }
    database.close()
  })

  it("refuses kinds that are not valid, naming all of them", () => {
    const refusal = (given: PresenceKinds): string => {
      try {
        return PresenceTables.ddl(given)
      } catch (error) {
        assert.instanceOf(error, StorageInvalid)
        return error.message
      }
    }
    assert.include(refusal({ "": {}, device: { key: ["accountId", "id"] } }), "accountId")
    assert.include(refusal({ device: { table: "" } }), 'device.table cannot be quoted: ""')
  })

  it("is shipped as text for one table", () => {
    const text = fs.readFileSync(path.join(import.meta.dirname, "../../schema.sql"), "utf8")
    const statements = text.replace(/^--.*\n/gm, "")
    assert.strictEqual(statements, PresenceTables.ddl({ device: { table: "Device", accountId: "accountId" } }))
  })
})
