/**
 * Goal: no list is larger than one answer may be, and no row makes one
 * unreadable. Method: the messages of a session as rows of chosen sizes, in a
 * database in memory.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, HashMap, Logger } from "effect"
import * as BoundedList from "../../src/database/BoundedList.ts"
import { DatabaseReader, ReadFailed } from "../../src/database/DatabaseReader.ts"
import { valueOf } from "../support/Gauges.ts"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import { parsedRows } from "../support/parsedRows.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const source: BoundedList.Source = {
  table: "SessionMessage",
  columns: `"seq", "localId"`,
  weighty: ["content", "localId"],
  from: `FROM "SessionMessage" WHERE "sessionId" = ?`,
  key: `"seq"`,
  direction: "DESC",
  bytesMax: BoundedList.listBytes
}

const shape: BoundedList.Shape = {
  fields: [
    { column: "seq", kind: "int", as: "seq" },
    { column: "localId", kind: "textOrNull", as: "called" }
  ]
}

const mebibyte = 1024 * 1024

/** Messages 1 to `count` of `s1`. */
const withMessages = (count: number, bytes = 1) =>
  Effect.tap(TestDatabase.TestDatabase, (database) => {
    addTwoSessions(database)
    addMessages(database, "s1", count, bytes)
  })

const read = (limit: number, over: Partial<BoundedList.Source> = {}) =>
  Effect.flatMap(DatabaseReader, (reader) => BoundedList.read(reader, { ...source, ...over }, shape, ["s1"], limit))

const seqs = (list: BoundedList.BoundedList) => parsedRows(list).map(({ seq }) => seq)

describe("BoundedList", () => {
  it.effect("reads up to the limit in order, in one statement, and reports whether there is more", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(3)
      const part = yield* read(2)
      assert.strictEqual(database.readCount, 1)
      assert.deepStrictEqual([seqs(part), part.lastKey, part.hasMore, part.isCut], [[3, 2], 2, true, false])
      const whole = yield* read(3, { direction: "ASC" })
      assert.deepStrictEqual([seqs(whole), whole.lastKey, whole.hasMore, whole.isCut], [[1, 2, 3], 3, false, false])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("reads nothing where there is nothing", () =>
    Effect.gen(function* () {
      yield* withMessages(0)
      assert.deepStrictEqual(yield* read(2), {
        rows: [],
        lastKey: undefined,
        hasMore: false,
        isCut: false,
        first: []
      })
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("ends before 8 MiB, and always reads one row", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(5, 3 * mebibyte)
      const some = yield* read(5)
      assert.deepStrictEqual([seqs(some), some.lastKey, some.hasMore, some.isCut], [[5, 4], 4, true, true])
      const two = yield* read(2)
      assert.deepStrictEqual([seqs(two), two.hasMore, two.isCut], [[5, 4], true, false])
      database.sqlite.exec(`UPDATE "SessionMessage" SET "content" = zeroblob(9 * ${mebibyte}) WHERE "seq" = 5`)
      const one = yield* read(5)
      assert.deepStrictEqual([seqs(one), one.hasMore, one.isCut], [[5], true, true])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("adds up all weighed columns, empty ones too", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(3, 3 * mebibyte)
      database.sqlite.exec(`UPDATE "SessionMessage" SET "localId" = NULL WHERE "seq" < 3`)
      assert.deepStrictEqual(seqs(yield* read(5)), [3, 2])
      database.sqlite.prepare(`UPDATE "SessionMessage" SET "localId" = ? WHERE "seq" = 3`).run("x".repeat(3 * mebibyte))
      assert.deepStrictEqual(seqs(yield* read(5)), [3])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("leaves out a row that does not fit, goes on after it, counts it and names its column only", () =>
    Effect.gen(function* () {
      const lines: Array<{ readonly text: string; readonly annotations: object }> = []
      const logger = Logger.make(({ annotations, message }) => {
        lines.push({ text: String(message), annotations: Object.fromEntries(HashMap.toEntries(annotations)) })
      })
      const database = yield* withMessages(4)
      database.sqlite.exec(`UPDATE "SessionMessage" SET "localId" = CAST("localId" AS BLOB) WHERE "seq" IN (2, 3)`)
      const before = yield* valueOf("database_unreadable_rows_total")
      const list = yield* read(3).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      assert.deepStrictEqual([seqs(list), list.lastKey, list.hasMore], [[4], 2, true])
      assert.strictEqual((yield* valueOf("database_unreadable_rows_total")) - before, 2)
      assert.deepStrictEqual(lines, [
        {
          text: "Rows that do not fit were left out of a list",
          annotations: { code: "ROWS_UNREADABLE", table: "SessionMessage", rows: 2, columns: ["localId"] }
        }
      ])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("ends a page where its text is too long, also where the stored bytes are not", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(3)
      // Each character is six in JSON.
      database.sqlite.prepare(`UPDATE "SessionMessage" SET "localId" = ? || "seq"`).run("\u0001".repeat(mebibyte / 8))
      const page = yield* read(3, { bytesMax: mebibyte })
      assert.deepStrictEqual([seqs(page), page.lastKey, page.hasMore, page.isCut], [[3], 3, true, true])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("is JSON under the names of the shape, with what is added to each row", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(2)
      database.sqlite.exec(`UPDATE "SessionMessage" SET "localId" = NULL WHERE "seq" = 1`)
      database.sqlite.prepare(`UPDATE "SessionMessage" SET "localId" = ? WHERE "seq" = 2`).run(`é "\n\u2028`)
      const { rows } = yield* Effect.flatMap(DatabaseReader, (reader) =>
        BoundedList.read(reader, source, { ...shape, kept: ["seq"], constants: `"last":null` }, ["s1"], 5)
      )
      const json = BoundedList.toJson(`{"rows":[`, rows, `],"n":1}`, ({ kept }) => `,"twice":${Number(kept[0]) * 2}`)
      assert.deepStrictEqual(JSON.parse(json.toString()), {
        rows: [
          { seq: 2, called: `é "\n\u2028`, last: null, twice: 4 },
          { seq: 1, called: null, last: null, twice: 2 }
        ],
        n: 1
      })
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("fails when the database cannot be read", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(1)
      database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
      assert.strictEqual((yield* Effect.flip(read(1)))._tag, "ReadFailed")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("finds its rows along the index of its source, and sorts no texts", () =>
    Effect.gen(function* () {
      const database = yield* withMessages(1)
      const plan = database.query(`EXPLAIN QUERY PLAN ${BoundedList.statement(source)}`, "s1", 5, 5)
      const details = plan.map(({ detail }) => String(detail))
      const [search = "", ...after] = details.slice(details.findIndex((detail) => detail.includes("_idx")))
      assert.include(search, "SessionMessage_sessionId_seq_idx")
      assert.include(after.at(-1), "SEARCH SessionMessage")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("counts a cut list without a cursor", () =>
    Effect.gen(function* () {
      const before = yield* valueOf("database_cut_lists_total")
      const list = { rows: [], lastKey: undefined, hasMore: true, first: [] }
      yield* BoundedList.reportCut("Session", { ...list, isCut: true })
      yield* BoundedList.reportCut("Session", { ...list, isCut: false })
      assert.strictEqual((yield* valueOf("database_cut_lists_total")) - before, 1)
    })
  )
})
