import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, TestClock } from "effect"
import fs from "node:fs"
import path from "node:path"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as Backup from "../../src/operator/Backup.ts"
import * as BackupFolder from "../../src/operator/BackupFolder.ts"
import * as BackupRecord from "../../src/operator/BackupRecord.ts"
import * as FileDatabase from "../support/FileDatabase.ts"

const stand = Effect.gen(function* () {
  const database = yield* FileDatabase.FileDatabase
  const dataDirectory = path.dirname(database.filename)
  addTwoSessions(database)
  addMessages(database, "s1", 2000, 2000)
  const options: Backup.Options = {
    databaseFile: database.filename,
    dataDirectory,
    directory: path.join(yield* TemporaryDirectory.make, "backups"),
    keep: 2,
    reserveBytes: 0,
    withSecret: true
  }
  return { ...database, database, dataDirectory, options }
})

const countIn = (file: string) => {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return sqlite.prepare("SELECT count(*) FROM SessionMessage").pluck().get()
  } finally {
    sqlite.close()
  }
}

const reasonOf = (options: Backup.Options) => Effect.map(Effect.flip(Backup.make(options)), ({ reason }) => reason)

describe("Backup", () => {
  it.scoped("holds the state of one moment, whatever is written meanwhile, in one private file", () =>
    Effect.gen(function* () {
      const { options, sqlite } = yield* stand
      const insert = sqlite.prepare(
        "INSERT INTO SessionMessage (id, sessionId, seq, content, createdAt, updatedAt) VALUES (?, 's1', ?, 'x', 1, 1)"
      )
      let written = 0
      const onProgress = () => {
        written += 1
        insert.run(`late-${written}`, 1_000_000 + written)
      }
      const { bytes, file, rowCount } = yield* Backup.make({ ...options, onProgress })
      assert.isAbove(written, 1)
      assert.strictEqual(countIn(file), 2000)
      assert.isAbove(rowCount, 2000)
      assert.strictEqual(fs.statSync(file).size, bytes)
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      assert.deepStrictEqual(fs.readdirSync(options.directory), [path.basename(file)])
      const { last } = yield* BackupRecord.read(options.dataDirectory)
      assert.deepInclude(last, { file, bytes })
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("copies the master secret beside it, unless it is told not to", () =>
    Effect.gen(function* () {
      const { dataDirectory, options } = yield* stand
      fs.writeFileSync(path.join(dataDirectory, "handy-master-secret.txt"), "a secret of these tests\n")
      const { file, secret } = yield* Backup.make(options)
      assert.strictEqual(secret, BackupFolder.secretOf(file))
      assert.strictEqual(fs.readFileSync(secret ?? "", "utf8"), "a secret of these tests\n")
      assert.strictEqual(fs.statSync(secret ?? "").mode & 0o777, 0o600)
      yield* TestClock.adjust("1 second")
      assert.isNull((yield* Backup.make({ ...options, withSecret: false })).secret)
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("keeps so many, and the newest two copies of migrations; a stranger's file stays", () =>
    Effect.gen(function* () {
      const { filename, options } = yield* stand
      fs.mkdirSync(options.directory)
      const stranger = path.join(options.directory, "light-backup-of-mine.sqlite")
      fs.writeFileSync(stranger, "kept")
      const copies = ["20250101T000000000Z", "20250102T000000000Z", "20250103T000000000Z"].map(
        (stamp) => `${filename}.before-20261126000000_add_x-${stamp}.bak`
      )
      const adoption = `${filename}.before-adoption-20240101T000000000Z.bak`
      for (const copy of [...copies, adoption]) fs.writeFileSync(copy, "")
      const files: Array<string> = []
      for (let round = 0; round < 3; round++) {
        const { file, removed } = yield* Backup.make(options)
        files.push(file)
        if (round === 0) assert.deepStrictEqual(removed, copies.slice(0, 1))
        if (round === 2) assert.deepStrictEqual(removed, files.slice(0, 1))
        yield* TestClock.adjust("1 hour")
      }
      assert.sameMembers(
        fs.readdirSync(options.directory),
        [...files.slice(1), stranger].map((file) => path.basename(file))
      )
      assert.isTrue(fs.existsSync(adoption))
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("removes what a killed attempt left, and leaves no file when it fails itself", () =>
    Effect.gen(function* () {
      const { dataDirectory, database, options } = yield* stand
      fs.mkdirSync(options.directory)
      fs.writeFileSync(path.join(options.directory, "light-backup-20250101T000000000Z.sqlite.partial"), "half")
      const full = yield* reasonOf({ ...options, reserveBytes: 1000, directory: dataDirectory, freeBytes: () => 5000 })
      assert.match(full, /^it needs \d+ bytes on its disk, of which 1000 stay free, and 5000 are free$/)
      // The disk fills up while it copies.
      addMessages(database, "s2", 1800, 10_000)
      let looks = 0
      const freeBytes = () => (looks++ === 0 ? 1e12 : 999)
      assert.match(yield* reasonOf({ ...options, reserveBytes: 1000, freeBytes }), /stay free, and 999 are free$/)
      assert.deepStrictEqual(fs.readdirSync(options.directory), [])
      const { failure, last } = yield* BackupRecord.read(dataDirectory)
      assert.isNull(last)
      assert.match(failure?.reason ?? "", /999 are free$/)
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("refuses a database that is damaged, and keeps the backup from before", () =>
    Effect.gen(function* () {
      const { dataDirectory, filename, options, sqlite } = yield* stand
      const { file } = yield* Backup.make(options)
      sqlite.pragma("foreign_keys = OFF")
      sqlite.exec("DELETE FROM Session WHERE id = 's1'")
      yield* TestClock.adjust("1 hour")
      assert.match(
        yield* reasonOf(options),
        /^the copy was refused: a row of SessionMessage refers to a row of Session that is missing$/
      )
      assert.deepStrictEqual(BackupFolder.list(options.directory, filename), [file])
      const record = yield* BackupRecord.read(dataDirectory)
      assert.strictEqual(record.last?.file, file)
      assert.include(record.failure?.reason ?? "", "the copy was refused")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("is made one at a time, and only of a file that is there", () =>
    Effect.gen(function* () {
      const { options } = yield* stand
      yield* InstanceLock.hold(`${options.databaseFile}.backup`)
      assert.match(yield* reasonOf(options), /^process \d+ on .* is making one right now$/)
      const missing = { ...options, databaseFile: `${options.databaseFile}.gone` }
      assert.strictEqual(yield* reasonOf(missing), "there is no such file")
      assert.isFalse(fs.existsSync(`${missing.databaseFile}.backup.lock`))
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
