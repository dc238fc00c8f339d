/**
 * Which lines of the feed are removed, which stay, and what a client that reads
 * meanwhile receives. Half of it on virtual time over a database in memory,
 * half over a file with the writer of the server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy } from "presence-effect/writer/WriterError"
import * as ChangeFeed from "../../src/changes/ChangeFeed.ts"
import * as ChangePruner from "../../src/changes/ChangePruner.ts"
import { CursorGone } from "../../src/Failure.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import { valueOf } from "../support/Gauges.ts"
import { addAccount } from "proving/drivers/Rows"
import * as TestDatabase from "../support/TestDatabase.ts"

type Database = Pick<TestDatabase.TestDatabase["Type"], "sqlite" | "query">

/** Lines with the cursors from `from` on, one minute apart; the first one is a minute old at the epoch of the test. */
const addLines = ({ sqlite }: Database, accountId: string, count: number, from = 1) => {
  const insert = sqlite.prepare(
    `INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt") VALUES (?, 'kv', ?, ?, ?)`
  )
  sqlite.transaction(() => {
    for (let cursor = from; cursor < from + count; cursor++)
      insert.run(accountId, `k${cursor}`, cursor, cursor * 60_000)
    sqlite.prepare(`UPDATE "Account" SET "seq" = ? WHERE "id" = ?`).run(from + count - 1, accountId)
  })()
}

const cursors = ({ query }: Database, accountId: string) =>
  query(`SELECT "cursor" FROM "AccountChange" WHERE "accountId" = ? ORDER BY "cursor"`, accountId).map(({ cursor }) =>
    Number(cursor)
  )

const floorOf = ({ query }: Database, accountId: string) =>
  Number(query(`SELECT "changesFloor" FROM "Account" WHERE "id" = ?`, accountId)[0]?.["changesFloor"])

const layer = (options: Partial<ChangePruner.Options>) =>
  Layer.mergeAll(
    ChangeFeed.layer,
    ChangePruner.layer({ ...ChangePruner.defaults, retention: 0, linesPerAccount: 0, pause: 0, ...options })
  ).pipe(Layer.provideMerge(TestDatabase.layer))

const from = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, index) => first + index)

const linesOf = ({ json }: ChangeFeed.ChangePage): ReadonlyArray<unknown> =>
  JSON.parse(Buffer.from(json).toString()).changes.map(({ entityId }: { readonly entityId: unknown }) => entityId)

describe("ChangePruner", () => {
  it.scoped("removes old lines, raises the floor with them, and leaves other accounts unchanged", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      for (const id of ["a1", "a2"]) addAccount(database, id)
      addLines(database, "a1", 60)
      const before = yield* valueOf("changes_pruned_changes_total")
      // At 31:00 the line of minute 21 is ten minutes old, and not older.
      yield* TestClock.adjust("31 minutes")
      addLines(database, "a2", 3, 30)
      assert.deepStrictEqual(cursors(database, "a1"), from(21, 60))
      assert.strictEqual(floorOf(database, "a1"), 20)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([cursors(database, "a1"), floorOf(database, "a1")], [from(22, 60), 21])
      assert.deepStrictEqual([cursors(database, "a2"), floorOf(database, "a2")], [[30, 31, 32], 0])
      assert.strictEqual((yield* valueOf("changes_pruned_changes_total")) - before, 21)
      assert.deepStrictEqual([...new Set(database.writes)], [Lane.maintenance])
    }).pipe(Effect.provide(layer({ retention: "10 minutes", interval: "1 minute" })))
  )

  it.scoped("continues with later accounts after a line with an unreadable time", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      for (const id of ["a1", "a2"]) {
        addAccount(database, id)
        addLines(database, id, 4)
      }
      database.sqlite.exec(
        `UPDATE "AccountChange" SET "changedAt" = 'some day' WHERE "accountId" = 'a1' AND "cursor" = 2`
      )
      yield* TestClock.adjust("33 minutes")
      const { round } = yield* ChangePruner.ChangePruner
      yield* round
      // Lines go in the order of their cursors, so this one goes with its neighbours.
      for (const id of ["a1", "a2"]) {
        assert.deepStrictEqual([cursors(database, id), floorOf(database, id)], [from(3, 4), 2], id)
      }
    }).pipe(Effect.provide(layer({ retention: "30 minutes" })))
  )

  it.scoped("keeps only the newest lines of an account that has too many, even when all are recent", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      addAccount(database, "a1")
      addLines(database, "a1", 12)
      const pruner = yield* ChangePruner.ChangePruner
      yield* pruner.round
      assert.deepStrictEqual([cursors(database, "a1"), floorOf(database, "a1")], [from(8, 12), 7])
      yield* pruner.round
      assert.deepStrictEqual(cursors(database, "a1"), from(8, 12))
    }).pipe(Effect.provide(layer({ linesPerAccount: 5 })))
  )

  it.scoped("answers CursorGone to clients below the floor, and skips nothing for the others", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      addAccount(database, "a1")
      addLines(database, "a1", 12)
      // The entity of line 3 was deleted since: its line moves to the end, and stays.
      database.sqlite.exec(
        `UPDATE "AccountChange" SET "cursor" = 13, "hint" = NULL WHERE "cursor" = 3;
         UPDATE "Account" SET "seq" = 13 WHERE "id" = 'a1'`
      )
      const feed = yield* ChangeFeed.ChangeFeed
      const { round } = yield* ChangePruner.ChangePruner
      // The lines that each reader that was up to date at some time must receive.
      const owed = yield* Effect.forEach(from(0, 13), (after) =>
        Effect.map(feed.page("a1", after, 100), (page) => ({ after, lines: linesOf(page) }))
      )
      yield* round
      assert.strictEqual(floorOf(database, "a1"), 8)
      for (const { after, lines } of owed) {
        const page = yield* Effect.either(feed.page("a1", after, 100))
        if (after < 8) assert.deepStrictEqual(page._tag === "Left" && page.left, new CursorGone({ currentCursor: 13 }))
        else {
          const shown = page._tag === "Right" ? linesOf(page.right) : page.left
          assert.deepStrictEqual(shown, lines)
        }
      }
    }).pipe(Effect.provide(layer({ linesPerAccount: 5 })))
  )

  it.scoped("removes no more than its limit per commit, and rests between two", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      addAccount(database, "a1")
      addLines(database, "a1", 60)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(cursors(database, "a1").length, 50)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(cursors(database, "a1").length, 40)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(cursors(database, "a1"), from(56, 60))
      assert.strictEqual(database.writes.length, 6)
    }).pipe(Effect.provide(layer({ linesPerAccount: 5, linesPerWrite: 10, pause: "5 seconds", interval: "1 minute" })))
  )

  it.scoped("continues where it was when a write fails", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      for (const id of ["a1", "a2", "a3"]) {
        addAccount(database, id)
        addLines(database, id, 6)
      }
      const { round } = yield* ChangePruner.ChangePruner
      database.nextWrite = {
        _tag: "Fail",
        error: new DatabaseBusy({ lane: Lane.maintenance, code: "SQLITE_BUSY", attempts: 3 })
      }
      yield* round
      assert.deepStrictEqual(database.writes.length, 1)
      assert.deepStrictEqual([cursors(database, "a1"), floorOf(database, "a1")], [from(1, 6), 0])
      yield* round
      for (const id of ["a1", "a2", "a3"]) assert.deepStrictEqual(cursors(database, id), [6])
    }).pipe(Effect.provide(layer({ linesPerAccount: 1 })))
  )

  it.scoped("reads nothing when all lines may stay", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      addAccount(database, "a1")
      addLines(database, "a1", 6)
      yield* TestClock.adjust(Duration.days(400))
      assert.deepStrictEqual([database.readCount, database.writes.length], [0, 0])
    }).pipe(Effect.provide(layer({})))
  )

  it.scoped("works through many accounts in a file, along the indexes", () =>
    Effect.gen(function* () {
      const database = yield* FileDatabase.FileDatabase
      // More than one page of accounts.
      const ids = from(1, 230).map((number) => `a${String(number).padStart(4, "0")}`)
      for (const id of ids) {
        addAccount(database, id)
        addLines(database, id, 30)
      }
      const { round } = yield* ChangePruner.make({
        ...ChangePruner.defaults,
        retention: 0,
        linesPerAccount: 7,
        linesPerWrite: 10,
        pause: 0
      })
      yield* round
      for (const id of ids) {
        assert.deepStrictEqual([cursors(database, id), floorOf(database, id)], [from(24, 30), 23])
      }
      assert.deepStrictEqual(database.query("PRAGMA foreign_key_check"), [])
      for (const statement of ChangePruner.statements) {
        const params = Array.from(statement.matchAll(/\?/g), () => 1)
        const plan = database.query(`EXPLAIN QUERY PLAN ${statement}`, ...params).map(({ detail }) => String(detail))
        assert.notMatch(plan.join("\n"), /SCAN|TEMP B-TREE/, statement)
        assert.match(plan.join("\n"), /USING (COVERING )?INDEX/, statement)
      }
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
