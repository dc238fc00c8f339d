import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import * as DatabaseChecks from "../../src/operator/DatabaseChecks.ts"
import * as LockHolders from "../../src/operator/LockHolders.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as DoctorStand from "./DoctorStand.ts"

const { levels, of } = DoctorStand

const reading = (file: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const sqlite = new Sqlite(file, { readonly: true })
      sqlite.exec("BEGIN")
      sqlite.prepare("SELECT count(*) FROM Account").get()
      return sqlite
    }),
    (sqlite) => Effect.sync(() => sqlite.close())
  )

describe("DatabaseChecks", () => {
  it.scoped("find nothing wrong with a sound database", () =>
    Effect.gen(function* () {
      const { options } = yield* DoctorStand.make
      assert.deepStrictEqual(levels(yield* DatabaseChecks.run(options)), {
        D201: "ok",
        D202: "ok",
        D203: "ok",
        D204: "ok",
        D205: "ok",
        D206: "ok",
        D207: "ok"
      })
      const missing = { ...options, databaseFile: `${options.databaseFile}.gone` }
      assert.deepStrictEqual(levels(yield* DatabaseChecks.run(missing)), { D201: "ok", D202: "skipped" })
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it("find an SQLite with the defect of the log", () => {
    assert.strictEqual(DatabaseChecks.sqlite("3.46.0").level, "problem")
    assert.strictEqual(DatabaseChecks.sqlite("3.53.2").level, "ok")
  })

  it.scoped("find a damaged page, and a file that is not a database", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      const copy = `${options.databaseFile}.copy`
      sqlite.exec(`VACUUM INTO '${copy}'`)
      const descriptor = fs.openSync(copy, "r+")
      fs.writeSync(descriptor, Buffer.alloc(4096, 7), 0, 4096, 4096 * 3)
      fs.closeSync(descriptor)
      const damaged = of(yield* DatabaseChecks.run({ ...options, databaseFile: copy }), "D202")
      assert.strictEqual(damaged.level, "problem")
      assert.include(damaged.fix, "happier-light-server restore")
      fs.writeFileSync(copy, "x".repeat(8192))
      const other = of(yield* DatabaseChecks.run({ ...options, databaseFile: copy }), "D202")
      assert.strictEqual(other.level, "problem")
      assert.include(other.cause, "not a database")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a migration that is missing, and one that this build does not know", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      const newest = sqlite.prepare("SELECT max(migration_name) FROM _prisma_migrations").pluck().get()
      sqlite.prepare("DELETE FROM _prisma_migrations WHERE migration_name = ?").run(newest)
      const behind = of(yield* DatabaseChecks.run(options), "D203")
      assert.strictEqual(behind.level, "warning")
      assert.include(behind.found, String(newest))
      sqlite.exec("UPDATE _prisma_migrations SET migration_name = '29990101000000_later' WHERE rowid = 1")
      assert.strictEqual(of(yield* DatabaseChecks.run(options), "D203").level, "problem")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a program that holds the write lock, and name it", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      sqlite.exec("BEGIN IMMEDIATE")
      const found = of(yield* DatabaseChecks.run(options), "D204")
      assert.strictEqual(found.level, "problem")
      if (fs.existsSync("/proc/locks")) assert.include(found.found, `process ${process.pid} (`)
      assert.include(found.found, "has held the write lock for more than 200 ms")
      sqlite.exec("ROLLBACK")
      assert.strictEqual(of(yield* DatabaseChecks.run(options), "D204").level, "ok")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a log that a reader pins, and name the reader", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      yield* reading(options.databaseFile)
      sqlite.exec("CREATE TABLE Ballast (body); INSERT INTO Ballast VALUES (zeroblob(100000))")
      const found = of(yield* DatabaseChecks.run({ ...options, logLimitBytes: 10_000 }), "D205")
      assert.strictEqual(found.level, "warning")
      if (fs.existsSync("/proc/locks")) {
        assert.include(found.found, `process ${process.pid} (`)
        assert.strictEqual(found.fix, "end that reader")
      }
      assert.strictEqual(of(yield* DatabaseChecks.run({ ...options, logLimitBytes: -1 }), "D205").level, "ok")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find rows of another server that are not served", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      sqlite.exec("CREATE TABLE SessionShare (id TEXT); INSERT INTO SessionShare VALUES ('a'), ('b')")
      const found = of(yield* DatabaseChecks.run(options), "D206")
      assert.strictEqual(found.level, "warning")
      assert.strictEqual(found.found, "2 rows of SessionShare")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("find a clock that was set back", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* DoctorStand.make
      sqlite.prepare("INSERT INTO ServerHeartbeat (id, beatAt) VALUES (1, ?)").run(Date.now() + 3_600_000)
      const found = of(yield* DatabaseChecks.run(options), "D207")
      assert.strictEqual(found.level, "problem")
      assert.match(found.found, /3[56]\d\d s in the future/)
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})

describe("LockHolders", () => {
  it.scoped("read the list of the kernel by the bytes that SQLite locks", () =>
    Effect.gen(function* () {
      const { databaseFile } = (yield* DoctorStand.make).options
      const { ino } = fs.statSync(`${databaseFile}-shm`)
      const list = [
        `1: POSIX  ADVISORY  WRITE 101 08:01:${ino} 120 120`,
        `2: POSIX  ADVISORY  READ  102 08:01:${ino} 124 124`,
        `3: POSIX  ADVISORY  WRITE 103 08:01:${ino} 121 121`,
        `4: POSIX  ADVISORY  WRITE 104 08:01:${ino + 1} 120 120`,
        `5: FLOCK  ADVISORY  WRITE 105 08:01:${ino} 0 EOF`
      ].join("\n")
      assert.deepStrictEqual(LockHolders.of(databaseFile, list), { writers: [101], readers: [102] })
      assert.deepStrictEqual(LockHolders.of(`${databaseFile}.gone`), { writers: [], readers: [] })
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
