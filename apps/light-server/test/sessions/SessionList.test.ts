/**
 * Goal: the cost of a list of sessions depends on its result, not on the size of the account. Method: the plans of its
 * statements, with statistics from when there was one session, as on a new server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { addTwoSessions } from "proving/drivers/Rows"
import * as BoundedList from "../../src/database/BoundedList.ts"
import * as SessionArchive from "../../src/database/SessionArchive.ts"
import * as SessionList from "../../src/sessions/SessionList.ts"
import { sqlite } from "../../src/database/Dialect.ts"
import * as MachineLists from "../../src/machines/MachineLists.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const planOf = (database: TestDatabase.TestDatabase["Type"], sql: string) =>
  database
    .query(`EXPLAIN QUERY PLAN ${sql}`, ...Array.from(sql.matchAll(/\?/g), () => "1"))
    .map(({ detail }) => String(detail))

const prepared = Effect.tap(TestDatabase.TestDatabase, (database) => {
  addTwoSessions(database)
  database.sqlite.exec("ANALYZE")
})

const sources = SessionList.sourcesOf(SessionArchive.own)

describe("lists of sessions", () => {
  for (const [name, search] of [
    ["updated", /^SEARCH Session USING INDEX Session_accountId_updatedAt_idx \(accountId=\?\)$/],
    ["first", /^SEARCH Session USING (COVERING )?INDEX presence_Session_accountId_id_idx \(accountId=\?\)$/],
    ["next", /^SEARCH Session USING (COVERING )?INDEX presence_Session_accountId_id_idx \(accountId=\? AND id<\?\)$/],
    ["firstArchived", /^SEARCH Session USING (COVERING )?INDEX presence_Session_accountId_id_idx \(accountId=\?\)$/],
    [
      "nextArchived",
      /^SEARCH Session USING (COVERING )?INDEX presence_Session_accountId_id_idx \(accountId=\? AND id<\?\)$/
    ]
  ] as const) {
    it.effect(`read "${name}" in the order of an index, and no further than the limit`, () =>
      Effect.gen(function* () {
        const plan = planOf(yield* prepared, BoundedList.statement(sources[name]))
        const first = plan.findIndex((detail) => /^(SEARCH|SCAN) Session/.test(detail))
        assert.match(plan[first] ?? "", search)
        // Sorted for the sums, once the limit has cut.
        assert.notMatch(plan[first + 1] ?? "", /TEMP B-TREE/)
        assert.notMatch(plan.join("\n"), /SCAN PresenceSessionArchive/)
      }).pipe(Effect.provide(TestDatabase.layer))
    )
  }

  it.effect("find the active ones of an account in an index of them, and read the chosen by their ids", () =>
    Effect.gen(function* () {
      const database = yield* prepared
      assert.deepStrictEqual(planOf(database, SessionList.selectActive()), [
        "SEARCH Session USING INDEX presence_Session_accountId_active_idx (accountId=?)"
      ])
      const plan = planOf(database, BoundedList.statement(sources.chosen)).join("\n")
      assert.notMatch(plan, /SCAN Session/)
      assert.match(plan, /SEARCH Session USING INDEX sqlite_autoindex_Session_1 \(id=\?\)/)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("of machines look at the machines of the account only", () =>
    Effect.gen(function* () {
      const plan = planOf(yield* prepared, BoundedList.statement(MachineLists.sourceOf(sqlite))).join("\n")
      assert.notMatch(plan, /SCAN Machine/)
      assert.match(plan, /SEARCH Machine USING INDEX \w+ \(accountId=\?\)/)
    }).pipe(Effect.provide(TestDatabase.layer))
  )
})
