import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import { connectionCase, readRows, temporaryDatabase } from "./connectionWorld.ts"
import * as assert from "./expect.ts"

const shrinkable = "PRAGMA auto_vacuum = INCREMENTAL; VACUUM;"

/** 200 rows of 10 000 bytes, of which only the last ten are left: free pages in the front of the file. */
const emptied = `CREATE TABLE Blob (id INTEGER PRIMARY KEY, body BLOB);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO Blob SELECT i, zeroblob(10000) FROM n;
  DELETE FROM Blob WHERE id <= 190;`

/** What every adapter on a real file does with free pages. */
export const compactionCases = [
  connectionCase(
    "takes free pages out of the file in steps, which a reader of an earlier state does not notice",
    ({ make }) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(shrinkable + emptied)
        const connection = yield* make(filename, { freeReserveBytes: Number.MAX_SAFE_INTEGER })
        const reader = new Database(filename, { readonly: true })
        const count = reader.prepare("SELECT count(*) FROM Blob WHERE length(body) = 10000").pluck()
        reader.exec("BEGIN")
        assert.strictEqual(count.get(), 10)

        const before = yield* connection.space
        assert.ok(before.isShrinkable)
        assert.isAbove(before.freePages, 400)
        const step = yield* connection.compact(100)
        assert.deepStrictEqual(step, {
          ...before,
          freePages: before.freePages - 100,
          pageCount: step.pageCount,
          removedPages: 100
        })
        assert.isAtMost(step.pageCount, before.pageCount - 100)
        assert.strictEqual((yield* connection.compact(10_000)).removedPages, before.freePages - 100)
        assert.deepInclude(yield* connection.compact(10_000), { freePages: 0, removedPages: 0 })
        assert.strictEqual(count.get(), 10)
        reader.close()

        const { size } = fs.statSync(filename)
        yield* connection.checkpoint("truncate")
        assert.isAtMost(fs.statSync(filename).size, size / 4)
        assert.deepStrictEqual(readRows(filename, "PRAGMA integrity_check"), [{ integrity_check: "ok" }])
        assert.deepStrictEqual(readRows(filename, "SELECT count(*) AS n FROM Blob"), [{ n: 10 }])
      })
  ),

  connectionCase("leaves a file as it is that was made without incremental vacuum", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(emptied)
      const connection = yield* make(filename)
      const space = yield* connection.space
      assert.strictEqual(space.isShrinkable, false)
      assert.isAbove(space.freePages, 400)
      assert.deepStrictEqual(yield* connection.compact(100), { ...space, removedPages: 0 })
    })
  ),

  connectionCase("answers busy while another connection writes", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(shrinkable + emptied)
      const connection = yield* make(filename)
      const foreign = new Database(filename)
      foreign.exec("BEGIN IMMEDIATE")
      assert.deepInclude(yield* Effect.flip(connection.compact(1)), { reason: "Busy", phase: "begin" })
      foreign.exec("ROLLBACK")
      foreign.close()
      assert.strictEqual((yield* connection.compact(1)).removedPages, 1)
    })
  )
]
