import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as Backup from "../../src/operator/Backup.ts"
import * as Restore from "../../src/operator/Restore.ts"
import * as FileDatabase from "../support/FileDatabase.ts"

const secretName = "handy-master-secret.txt"

/** A backup with three messages and a secret, and an empty place to restore it to. */
const stand = Effect.gen(function* () {
  const database = yield* FileDatabase.FileDatabase
  addTwoSessions(database)
  addMessages(database, "s1", 3)
  const source = path.dirname(database.filename)
  fs.writeFileSync(path.join(source, secretName), "the secret of the backup\n")
  const directory = path.join(yield* TemporaryDirectory.make, "backups")
  const backup = yield* Backup.make({
    databaseFile: database.filename,
    dataDirectory: source,
    directory,
    keep: 2,
    reserveBytes: 0,
    withSecret: true
  })
  const dataDirectory = path.join(yield* TemporaryDirectory.make, "data")
  const options: Restore.Options = {
    from: backup.file,
    databaseFile: path.join(dataDirectory, "light.sqlite"),
    dataDirectory,
    migrationsDir: MigrationFolder.bundledDir,
    withSecret: true
  }
  return { backup, dataDirectory, directory, options, source: database }
})

const messageCount = (file: string) => {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return sqlite.prepare("SELECT count(*) FROM SessionMessage").pluck().get()
  } finally {
    sqlite.close()
  }
}

/** Puts a database with one message and an unfinished log there, as a killed server leaves it. */
const leaveDatabase = ({ databaseFile }: Restore.Options, source: FileDatabase.FileDatabase["Type"]) => {
  source.sqlite.exec("DELETE FROM SessionMessage WHERE seq > 1")
  fs.mkdirSync(path.dirname(databaseFile), { recursive: true })
  for (const end of ["", "-wal"]) fs.copyFileSync(source.filename + end, databaseFile + end)
}

describe("Restore", () => {
  it.scoped("brings rows and secret back to an empty place, from the newest backup of a directory", () =>
    Effect.gen(function* () {
      const { backup, dataDirectory, directory, options } = yield* stand
      const report = yield* Restore.run({ ...options, from: directory })
      assert.deepInclude(report, { from: backup.file, replaced: [], secret: "restored", pendingMigrations: [] })
      assert.strictEqual(messageCount(options.databaseFile), 3)
      assert.strictEqual(fs.statSync(options.databaseFile).mode & 0o777, 0o600)
      assert.strictEqual(fs.readFileSync(path.join(dataDirectory, secretName), "utf8"), "the secret of the backup\n")
      assert.sameMembers(fs.readdirSync(dataDirectory), ["light.sqlite", "light.sqlite.lock", secretName])
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("keeps what was there under another name, with what was only in its log", () =>
    Effect.gen(function* () {
      const { dataDirectory, options, source } = yield* stand
      leaveDatabase(options, source)
      fs.writeFileSync(path.join(dataDirectory, secretName), "another secret, of today\n")
      const { replaced, secret } = yield* Restore.run(options)
      assert.lengthOf(replaced, 1)
      assert.match(replaced[0] ?? "", /light\.sqlite\.before-restore-\d{8}T\d{9}Z\.bak$/)
      assert.strictEqual(messageCount(replaced[0] ?? ""), 1)
      assert.strictEqual(messageCount(options.databaseFile), 3)
      assert.isFalse(fs.existsSync(`${options.databaseFile}-wal`))
      assert.strictEqual(secret, "restored")
      const kept = fs.readdirSync(dataDirectory).find((name) => name.startsWith(`${secretName}.before-restore-`))
      assert.strictEqual(fs.readFileSync(path.join(dataDirectory, kept ?? ""), "utf8"), "another secret, of today\n")
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("replaces a database that is damaged, and keeps its log beside it", () =>
    Effect.gen(function* () {
      const { options, source } = yield* stand
      leaveDatabase(options, source)
      fs.writeFileSync(options.databaseFile, "no database at all")
      const { replaced } = yield* Restore.run(options)
      assert.lengthOf(replaced, 2)
      assert.strictEqual(fs.readFileSync(replaced[0] ?? "", "utf8"), "no database at all")
      assert.isAbove(fs.statSync(replaced[1] ?? "").size, 0)
      assert.strictEqual(messageCount(options.databaseFile), 3)
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("changes nothing while a server uses the database", () =>
    Effect.gen(function* () {
      const { options, source } = yield* stand
      leaveDatabase(options, source)
      yield* InstanceLock.hold(options.databaseFile)
      const before = fs.readFileSync(options.databaseFile)
      assert.strictEqual((yield* Effect.flip(Restore.run(options)))._tag, "InstanceRunning")
      assert.isTrue(fs.readFileSync(options.databaseFile).equals(before))
    }).pipe(Effect.provide(FileDatabase.layer))
  )

  it.scoped("changes nothing for a backup that is missing, damaged, empty, or of a later version", () =>
    Effect.gen(function* () {
      const { backup, directory, options, source } = yield* stand
      leaveDatabase(options, source)
      const before = fs.readFileSync(options.databaseFile)
      const tagOf = (from: string) =>
        Effect.map(Effect.flip(Restore.run({ ...options, from })), ({ _tag, message }) => [_tag, message] as const)

      assert.deepStrictEqual(yield* tagOf(`${backup.file}.gone`), [
        "BackupUnsound",
        `${backup.file}.gone cannot be restored: there is no such file`
      ])
      const empty = path.join(directory, "empty")
      fs.mkdirSync(empty)
      assert.strictEqual((yield* tagOf(empty))[0], "BackupUnsound")

      const later = path.join(directory, "later.sqlite")
      fs.copyFileSync(backup.file, later)
      const file = new Sqlite(later)
      file.exec("UPDATE _prisma_migrations SET migration_name = '29990101000000_later' WHERE rowid = 8")
      file.close()
      assert.strictEqual((yield* tagOf(later))[0], "MigrationUnknown")

      const damaged = path.join(directory, "damaged.sqlite")
      fs.copyFileSync(backup.file, damaged)
      const descriptor = fs.openSync(damaged, "r+")
      fs.writeSync(descriptor, Buffer.alloc(8192, 7), 0, 8192, 8192)
      fs.closeSync(descriptor)
      assert.strictEqual((yield* tagOf(damaged))[0], "BackupUnsound")

      assert.isTrue(fs.readFileSync(options.databaseFile).equals(before))
      assert.notInclude(fs.readdirSync(options.dataDirectory).join(), "partial")
    }).pipe(Effect.provide(FileDatabase.layer))
  )
})
