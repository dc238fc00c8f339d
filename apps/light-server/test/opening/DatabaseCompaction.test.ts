/** Real files, with and without incremental vacuum. */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as DatabaseCompaction from "../../src/opening/DatabaseCompaction.ts"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

/** 2 MB of rows of which a tenth is left, some of it at the end of the file. */
const fill = `CREATE TABLE Blob (id INTEGER PRIMARY KEY, body BLOB);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
    INSERT INTO Blob SELECT i, zeroblob(10000) FROM n;
  DELETE FROM Blob WHERE id <= 180`

const makeFile = (autoVacuum: "NONE" | "FULL" | "INCREMENTAL") =>
  Effect.map(TemporaryDirectory.make, (directory) => {
    const filename = path.join(directory, "db.sqlite")
    const sqlite = new Sqlite(filename)
    sqlite.pragma(`auto_vacuum = ${autoVacuum}`)
    sqlite.pragma("journal_mode = WAL")
    sqlite.exec(fill)
    sqlite.close()
    return filename
  })

const withFile = <A>(filename: string, use: (sqlite: Sqlite.Database) => A): A => {
  const sqlite = new Sqlite(filename)
  try {
    return use(sqlite)
  } finally {
    sqlite.close()
  }
}

const stateOf = (filename: string) =>
  withFile(filename, (sqlite) => ({
    mode: sqlite.pragma("auto_vacuum", { simple: true }),
    journal: sqlite.pragma("journal_mode", { simple: true }),
    check: sqlite.pragma("integrity_check", { simple: true }),
    rows: sqlite.prepare("SELECT count(*) FROM Blob WHERE length(body) = 10000").pluck().get()
  }))

const whole = { mode: 2, journal: "wal", check: "ok", rows: 20 }

describe("DatabaseCompaction", () => {
  it.scopedLive.each([
    ["NONE", true],
    ["INCREMENTAL", false],
    ["FULL", false]
  ] as const)("shortens a file made with auto_vacuum = %s, and keeps its rows", ([autoVacuum, isRewritten]) =>
    Effect.gen(function* () {
      const filename = yield* makeFile(autoVacuum)
      const bytesBefore = fs.statSync(filename).size
      const report = yield* DatabaseCompaction.compactFile({ filename })
      const bytesAfter = fs.statSync(filename).size
      assert.deepStrictEqual(report, { databaseFile: filename, bytesBefore, bytesAfter, isRewritten })
      assert.isBelow(bytesAfter, 400_000)
      assert.deepStrictEqual(stateOf(filename), whole)
      // Once more there is nothing to do.
      const again = yield* DatabaseCompaction.compactFile({ filename })
      assert.deepStrictEqual(again, { ...report, bytesBefore: bytesAfter, isRewritten: false })
    })
  )

  it.scopedLive("needs space only to rewrite a file, and reports how much", () =>
    Effect.gen(function* () {
      const filename = yield* makeFile("NONE")
      const { size } = fs.statSync(filename)
      const refusal = yield* Effect.flip(DatabaseCompaction.compactFile({ filename, freeBytes: () => 100_000 }))
      assert.strictEqual(refusal._tag, "CompactionFailed")
      assert.match(refusal.message, /written anew once, which needs \d{6} bytes on its disk, and 100000 are free/)
      assert.deepStrictEqual(stateOf(filename), { ...whole, mode: 0 })
      assert.strictEqual(fs.statSync(filename).size, size)

      const other = yield* makeFile("INCREMENTAL")
      assert.isBelow(
        (yield* DatabaseCompaction.compactFile({ filename: other, freeBytes: () => 0 })).bytesAfter,
        400_000
      )
    })
  )

  it.scopedLive("leaves a file alone that a server uses or another program writes", () =>
    Effect.gen(function* () {
      const filename = yield* makeFile("INCREMENTAL")
      const { size } = fs.statSync(filename)
      const refusal = yield* Effect.scoped(
        Effect.zipRight(InstanceLock.hold(filename), Effect.flip(DatabaseCompaction.compactFile({ filename })))
      )
      assert.strictEqual(refusal._tag, "InstanceRunning")
      const foreign = new Sqlite(filename)
      foreign.exec("BEGIN IMMEDIATE")
      const busy = yield* Effect.flip(DatabaseCompaction.compactFile({ filename, lockTimeout: "10 millis" }))
      assert.strictEqual(busy._tag, "MigrationBusy")
      foreign.close()
      assert.strictEqual(fs.statSync(filename).size, size)
      assert.deepStrictEqual(stateOf(filename), whole)
    })
  )

  it.scopedLive("does not create a missing file, and refuses a file that is not a database", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const filename = path.join(directory, "db.sqlite")
      const missing = yield* Effect.flip(DatabaseCompaction.compactFile({ filename }))
      assert.strictEqual(missing._tag, "DatabaseUnreachable")
      assert.deepStrictEqual(fs.readdirSync(directory), [])
      fs.writeFileSync(filename, "this is no database, but long enough to be read as the header of one. ".repeat(30))
      const invalid = yield* Effect.flip(DatabaseCompaction.compactFile({ filename }))
      assert.strictEqual(invalid._tag, "DatabaseInvalid")
    })
  )
})
