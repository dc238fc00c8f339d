import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Deferred, Effect, Fiber } from "effect"
import { spawn } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as DatabaseImport from "../../src/adoption/DatabaseImport.ts"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import * as FixtureBox from "proving/fixtures/FixtureBox"
import * as Fixtures from "proving/fixtures/make-fixtures"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as MigrationBox from "../migration/MigrationBox.ts"
import { tsx } from "proving/drivers/Tsx"

const databaseName = "happier-server-light.sqlite"
const lockName = `${databaseName}.lock`

const importInto = (
  directory: string,
  box: FixtureBox.FixtureBox,
  options: Partial<DatabaseImport.ImportOptions> = {}
): Effect.Effect<DatabaseImport.ImportReport, DatabaseImport.ImportError> =>
  DatabaseImport.importFile({
    source: box.filename,
    directory,
    databaseName,
    migrationsDir: MigrationFolder.bundledDir,
    lockTimeout: "20 millis",
    ...options
  })

/** A directory that does not exist yet. */
const target = Effect.map(TemporaryDirectory.make, (directory) => path.join(directory, "data"))

/** Read, written and skipped, of tables that the source has rows of. */
const countsOf = ({ tables }: DatabaseImport.ImportReport) =>
  Object.fromEntries(
    tables
      .filter(({ readCount }) => readCount > 0)
      .map(({ readCount, skipped, table, writtenCount }) => [
        table,
        [readCount, writtenCount, Object.fromEntries(skipped)]
      ])
  )

const checksumsOf = ({ tables }: DatabaseImport.ImportReport) =>
  Object.fromEntries(tables.map(({ checksum, table }) => [table, checksum]))

const whole = {
  Account: [2, 2, {}],
  Session: [3, 3, {}],
  Machine: [2, 2, {}],
  UsageReport: [2, 2, {}],
  SessionMessage: [5, 5, {}],
  AccountChange: [3, 3, {}],
  TerminalAuthRequest: [1, 1, {}],
  AccountAuthRequest: [1, 1, {}],
  Artifact: [1, 1, {}],
  AccountPushToken: [1, 1, {}],
  AccessKey: [1, 1, {}]
}

/** More than one step of an import. */
const manyMessages = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
  INSERT INTO SessionMessage SELECT 'x' || i, 's1', NULL, i, '{}', 1, 1 FROM n`

const failureOf = (imported: ReturnType<typeof importInto>): Effect.Effect<DatabaseImport.ImportError> =>
  Effect.flip(Effect.flatMap(imported, () => Effect.dieMessage("imported, although it should not be")))

/** Fails unless the import fails with `tag`, leaves no database, and leaves the source byte for byte. */
const refuses = (
  box: FixtureBox.FixtureBox,
  tag: DatabaseImport.ImportError["_tag"],
  mentions: ReadonlyArray<string>,
  options: Partial<DatabaseImport.ImportOptions> = {}
) =>
  Effect.gen(function* () {
    const directory = yield* target
    const bytes = box.bytes()
    const files = box.files()
    const error = yield* failureOf(importInto(directory, box, options))
    assert.strictEqual(error._tag, tag, error.message)
    for (const mention of mentions) assert.include(error.message, mention)
    assert.deepStrictEqual(
      fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name !== lockName) : [],
      []
    )
    assert.strictEqual(box.bytes(), bytes)
    assert.deepStrictEqual(box.files(), files)
  })

describe("DatabaseImport", () => {
  describe("a source it understands", () => {
    it.scoped.each(["integers", "iso-text"] as const)("comes over whole from %s and is not touched", (name) =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make(name)
        const directory = yield* target
        const bytes = box.bytes()
        const files = box.files()
        const report = yield* importInto(directory, box)
        assert.deepStrictEqual(countsOf(report), whole)
        assert.strictEqual(box.bytes(), bytes)
        assert.deepStrictEqual(box.files(), files)
        assert.deepStrictEqual(fs.readdirSync(directory), [databaseName, lockName])
        assert.strictEqual(fs.statSync(report.databaseFile).mode & 0o777, 0o600)
        assert.deepStrictEqual(
          report.ignored.map(({ rowCount, table }) => `${table} ${rowCount}`),
          ["SessionShare 1", "RepeatKey 1"]
        )
      })
    )

    it.scoped("keeps its machines revoked, as of then", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("iso-text")
        const { databaseFile } = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        const machines = FixtureBox.withSqlite(databaseFile, (sqlite) =>
          sqlite
            .prepare(
              `SELECT id, revokedAt = createdAt AS isRevoked FROM Machine
               LEFT JOIN PresenceMachineRevocation ON machineId = id ORDER BY id`
            )
            .all()
        )
        assert.deepStrictEqual(machines, [
          { id: "m1", isRevoked: null },
          { id: "m2", isRevoked: 1 }
        ])
      })
    )

    it.scoped("keeps its sessions archived, as of then", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("iso-text")
        const { databaseFile } = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        const sessions = FixtureBox.withSqlite(databaseFile, (sqlite) =>
          sqlite
            .prepare(
              `SELECT id, archivedAt = updatedAt AS isArchived FROM Session
               LEFT JOIN PresenceSessionArchive ON sessionId = id ORDER BY id`
            )
            .all()
        )
        assert.deepStrictEqual(sessions, [
          { id: "s1", isArchived: null },
          { id: "s2", isArchived: 1 },
          { id: "s3", isArchived: null }
        ])
      })
    )

    it.scoped("comes over whole after this server has served it in place", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("iso-text")
        yield* box.adopt()
        // From before the other server added its column. For `s2` that column is newer.
        box.exec(`INSERT INTO PresenceSessionArchive VALUES ('s1', 7), ('s2', 7)`)
        const { databaseFile } = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        const times = FixtureBox.withSqlite(databaseFile, (sqlite) => [
          sqlite.prepare("SELECT machineId FROM PresenceMachineRevocation").pluck().all(),
          sqlite
            .prepare(
              `SELECT sessionId || ' ' || iif(archivedAt = updatedAt, 'theirs', archivedAt)
               FROM PresenceSessionArchive JOIN Session ON id = sessionId ORDER BY id`
            )
            .pluck()
            .all()
        ])
        assert.deepStrictEqual(times, [["m2"], ["s1 7", "s2 theirs"]])
      })
    )

    it.scoped("has the same rows and checksums whatever the form of its times", () =>
      Effect.gen(function* () {
        const [integers, texts] = yield* Effect.forEach(["integers", "iso-text"] as const, (name) =>
          Effect.gen(function* () {
            const box = yield* FixtureBox.make(name)
            // The other one is from before machines could be revoked and sessions archived.
            if (name === "iso-text") {
              box.exec("ALTER TABLE Machine DROP COLUMN revokedAt; ALTER TABLE Session DROP COLUMN archivedAt")
            }
            const report = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
            const { Account: _, _prisma_migrations: __, ...tables } = FixtureBox.content(report.databaseFile)
            const { Account: ___, ...checksums } = checksumsOf(report)
            return { tables, checksums, file: report.databaseFile }
          })
        )
        assert.deepStrictEqual(texts?.tables, integers?.tables)
        assert.deepStrictEqual(texts?.checksums, integers?.checksums)
        const accounts = FixtureBox.withSqlite(String(texts?.file), (sqlite) =>
          sqlite
            .prepare(
              "SELECT id, seq, CAST(feedSeq AS TEXT) AS feedSeq, createdAt, typeof(createdAt) AS form FROM Account"
            )
            .all()
        )
        assert.deepStrictEqual(accounts, [
          { id: "a1", seq: 7, feedSeq: "9007199254740993", createdAt: Fixtures.epochMillis + 1, form: "integer" },
          { id: "a2", seq: 0, feedSeq: "0", createdAt: Fixtures.epochMillis + 1001, form: "integer" }
        ])
      })
    )

    it.scoped("leaves out rows that cannot be stored, counted by reason, and their children", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("mixed")
        box.exec(`UPDATE Machine SET createdAt = 'soon' WHERE id = 'm2';
          INSERT INTO UsageReport SELECT 'u3', key, accountId, sessionId, data, createdAt, updatedAt
          FROM UsageReport WHERE id = 'u2'`)
        const report = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        assert.deepStrictEqual(countsOf(report), {
          ...whole,
          Account: [3, 2, { "publicKey is empty": 1 }],
          Session: [4, 3, { "accountId is no Account": 1 }],
          Machine: [2, 1, { "createdAt is no time": 1 }],
          SessionMessage: [7, 5, { "sessionId is no Session": 2 }],
          UsageReport: [3, 2, { "another row has its key": 1 }]
        })
        const forms = FixtureBox.withSqlite(report.databaseFile, (sqlite) =>
          sqlite.prepare("SELECT DISTINCT typeof(createdAt) || typeof(updatedAt) FROM SessionMessage").pluck().all()
        )
        assert.deepStrictEqual(forms, ["integerinteger"])
      })
    )

    it.scoped("may be of an early release: missing tables are empty, missing columns have their defaults", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec("DROP TABLE AccountChange; ALTER TABLE Account DROP COLUMN changesFloor")
        const report = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        const { AccountChange: _, ...others } = whole
        assert.deepStrictEqual(countsOf(report), others)
      })
    )

    it.scoped("makes a database that needs no migration", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const report = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        const { applied } = yield* PrismaMigrator.migrate({
          filename: report.databaseFile,
          migrationsDir: MigrationFolder.bundledDir
        })
        assert.deepStrictEqual(applied, [])
      })
    )

    it.scoped("may be open in another process, with rows that are only in its log", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const script = fileURLToPath(new URL("openElsewhere.ts", import.meta.url))
        const child = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn(process.execPath, ["--import", tsx, script, box.filename], { stdio: ["pipe", "pipe", "inherit"] })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        yield* Effect.async<void>((resume) => void child.stdout.once("data", () => resume(Effect.void)))
        const bytes = box.bytes()
        const log = fs.readFileSync(`${box.filename}-wal`)
        const report = yield* Effect.flatMap(target, (directory) => importInto(directory, box))
        assert.deepStrictEqual(countsOf(report), { ...whole, SessionMessage: [6, 6, {}] })
        assert.isNull(child.exitCode)
        assert.strictEqual(box.bytes(), bytes)
        assert.isTrue(log.equals(fs.readFileSync(`${box.filename}-wal`)))
      })
    )

    it.scopedLive("is imported as it was when the import began, although another process writes to it meanwhile", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec(`PRAGMA journal_mode = WAL; ${manyMessages}`)
        const writer = new Sqlite(box.filename)
        const directory = yield* TemporaryDirectory.make
        // This fires at the first pause of the import, which is among the messages; changes are read after them.
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            fs.watch(directory, () => writer.open && writer.exec("DELETE FROM AccountChange; DELETE FROM RepeatKey"))
          ),
          (watcher) => Effect.sync(() => (watcher.close(), writer.close()))
        )
        const report = yield* importInto(directory, box)
        assert.deepStrictEqual(countsOf(report), { ...whole, SessionMessage: [5005, 5005, {}] })
        assert.deepStrictEqual(box.all("SELECT count(*) AS n FROM AccountChange"), [{ n: 0 }])
      })
    )
  })

  describe("a source it does not understand", () => {
    it.scoped("is refused with every reason", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("broken")
        box.exec("UPDATE _prisma_migrations SET finished_at = NULL")
        yield* refuses(box, "ImportSourceRefused", [
          "Session.lastActiveAt is missing",
          "its migration 20260127000000_baseline is unfinished"
        ])
      })
    )

    it.scoped("is refused when it is of another project", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        fs.rmSync(box.filename)
        box.exec("CREATE TABLE Note (id TEXT)")
        yield* refuses(box, "ImportSourceRefused", ["none of the tables Account, Session, Machine"])
      })
    )

    it.scoped("is reported when it is not a database, or is missing", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        yield* refuses(box, "DatabaseUnreachable", ["missing.sqlite"], {
          source: path.join(box.directory, "missing.sqlite")
        })
        fs.writeFileSync(box.filename, "not a database\n".repeat(1000))
        yield* refuses(box, "DatabaseInvalid", [box.filename])
      })
    )
  })

  describe("an import that fails", () => {
    it.scoped("leaves nothing when the source is damaged in its middle", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const root = Number(
          (box.all("SELECT rootpage FROM sqlite_master WHERE name = 'SessionMessage'")[0] as { rootpage: number })
            .rootpage
        )
        const bytes = fs.readFileSync(box.filename)
        fs.writeFileSync(box.filename, bytes.fill(0xff, (root - 1) * 1024, root * 1024))
        yield* refuses(box, "DatabaseInvalid", [box.filename, "malformed"])
      })
    )

    it.scoped("leaves nothing when a table reads back differently", () =>
      Effect.gen(function* () {
        const forger = yield* MigrationBox.make
        fs.cpSync(MigrationFolder.bundledDir, forger.migrationsDir, { recursive: true })
        forger.addMigration(
          "29991231235959_forge",
          `CREATE TRIGGER forge AFTER INSERT ON Machine BEGIN UPDATE Machine SET seq = 1 WHERE id = NEW.id; END`
        )
        yield* refuses(yield* FixtureBox.make("integers"), "ImportMismatch", ["Machine", "nothing was kept"], {
          migrationsDir: forger.migrationsDir
        })
      })
    )

    it.scopedLive("leaves nothing when it is interrupted", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec(manyMessages)
        const directory = yield* TemporaryDirectory.make
        const begun = yield* Deferred.make<void>()
        // This fires at the first pause of the import, which is among the messages.
        yield* Effect.acquireRelease(
          Effect.sync(() => fs.watch(directory, () => Deferred.unsafeDone(begun, Effect.void))),
          (watcher) => Effect.sync(() => watcher.close())
        )
        const fiber = yield* Effect.fork(importInto(directory, box))
        yield* Deferred.await(begun)
        assert.isTrue(fs.existsSync(path.join(directory, `${databaseName}.importing-journal`)))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(fs.readdirSync(directory), [lockName])
      })
    )

    it.scoped("is repeated by the next one when its process was killed", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const directory = yield* target
        fs.mkdirSync(directory)
        fs.writeFileSync(path.join(directory, `${databaseName}.importing`), "half")
        fs.writeFileSync(path.join(directory, `${databaseName}.importing-journal`), "half")
        assert.deepStrictEqual(countsOf(yield* importInto(directory, box)), whole)
        assert.deepStrictEqual(fs.readdirSync(directory), [databaseName, lockName])
      })
    )
  })

  describe("a target that is in use", () => {
    it.scoped.each([databaseName, `${databaseName}-wal`, "notes.txt"])("is refused for %s and keeps it", (name) =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const directory = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(directory, name), "mine")
        const error = yield* failureOf(importInto(directory, box))
        assert.strictEqual(error._tag, "ImportTargetRefused")
        assert.include(error.message, name)
        assert.strictEqual(fs.readFileSync(path.join(directory, name), "utf8"), "mine")
        assert.deepStrictEqual(fs.readdirSync(directory), [name])
      })
    )

    it.scoped("is accepted when it holds only the secret and the challenges seen", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const directory = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(directory, "handy-master-secret.txt"), "secret")
        fs.writeFileSync(path.join(directory, "login-challenges.txt"), "")
        assert.deepStrictEqual(countsOf(yield* importInto(directory, box)), whole)
      })
    )

    it.scoped("is refused while another import or a server works in it", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const directory = yield* TemporaryDirectory.make
        yield* InstanceLock.hold(path.join(directory, databaseName))
        const error = yield* failureOf(importInto(directory, box))
        assert.include(error.message, `is in use by process ${process.pid} on `)
        assert.deepStrictEqual(fs.readdirSync(directory), [lockName])
      })
    )

    it.scoped("is refused when it is no directory", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const error = yield* failureOf(importInto(box.filename, box))
        assert.strictEqual(error._tag, "ImportTargetRefused")
      })
    )
  })
})
