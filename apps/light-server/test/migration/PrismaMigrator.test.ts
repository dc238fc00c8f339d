import * as Crypto from "node:crypto"
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Option } from "effect"
import type { MigrationError } from "../../src/migration/MigrationError.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import type { MigrateOptions, MigrationReport } from "../../src/migration/PrismaMigrator.ts"
import * as MigrationBox from "./MigrationBox.ts"

/** As Prisma writes it when a column becomes required. */
const redefineParent = `-- RedefineTables
PRAGMA defer_foreign_keys=ON;
PRAGMA foreign_keys=OFF;
CREATE TABLE "new_Parent" (
    "id" TEXT NOT NULL PRIMARY KEY,
    "name" TEXT NOT NULL DEFAULT 'nameless'
);
INSERT INTO "new_Parent" ("id", "name") SELECT "id", coalesce("name", 'nameless') AS "name" FROM "Parent";
DROP TABLE "Parent";
ALTER TABLE "new_Parent" RENAME TO "Parent";
PRAGMA foreign_keys=ON;
PRAGMA defer_foreign_keys=OFF;
`

const columnNames = (box: MigrationBox.MigrationBox, table: string) =>
  box.pluck(`SELECT name FROM pragma_table_info(?)`, table)

/** Fails unless `migrate` fails with `tag`, names everything in `mentions`, and leaves the file byte for byte. */
const refuses = (
  box: MigrationBox.MigrationBox,
  tag: MigrationError["_tag"],
  mentions: ReadonlyArray<string>,
  options?: Partial<MigrateOptions>
): Effect.Effect<MigrationError, MigrationReport> =>
  Effect.gen(function* () {
    const bytes = box.bytes()
    const files = box.files()
    const error = yield* Effect.flip(box.migrate(options))
    assert.strictEqual(error._tag, tag)
    for (const mention of [box.filename, ...mentions]) assert.include(error.message, mention)
    assert.strictEqual(box.bytes(), bytes)
    assert.deepStrictEqual(box.files(), files)
    return error
  })

describe("PrismaMigrator", () => {
  describe("a file that needs migrations", () => {
    it.scoped("takes every migration in the order of names, in a file it creates for its owner only", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        box.addMigration("1_create_parent", MigrationBox.createParent)
        const report = yield* box.migrate()
        assert.deepStrictEqual(report, { applied: ["1_create_parent", "2_add_age"], backup: Option.none() })
        assert.deepStrictEqual(columnNames(box, "Parent"), ["id", "name", "age"])
        assert.strictEqual(FileSystem.statSync(box.filename).mode & 0o777, 0o600)
        assert.deepStrictEqual(box.files(), ["light.sqlite"])
      })
    )

    it.scoped("takes an empty file for a new one", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        box.addMigration("1_create_parent", MigrationBox.createParent)
        FileSystem.writeFileSync(box.filename, "")
        assert.deepStrictEqual((yield* box.migrate()).applied, ["1_create_parent"])
      })
    )

    it.scoped("makes a new file that can give space back while it is used, and leaves others as they are", () =>
      Effect.gen(function* () {
        const autoVacuum = (box: MigrationBox.MigrationBox) => box.pluck("PRAGMA auto_vacuum")
        const box = yield* MigrationBox.make
        box.addMigration("1_create_parent", MigrationBox.createParent)
        yield* box.migrate()
        assert.deepStrictEqual(autoVacuum(box), [2])
        // As earlier versions made it.
        box.withSqlite((sqlite) => sqlite.exec("PRAGMA auto_vacuum = NONE; VACUUM"))
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        assert.deepStrictEqual((yield* box.migrate()).applied, ["2_add_age"])
        assert.deepStrictEqual(autoVacuum(box), [0])
      })
    )

    it.scoped("records a migration as Prisma does", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        const text = `${MigrationBox.createParent}\n-- grün\n`
        box.addMigration("1_create_parent", text)
        yield* box.migrate()
        const [row] = box.all(
          `SELECT *, typeof(started_at) AS startedType, typeof(finished_at) AS finishedType FROM _prisma_migrations`
        ) as Array<Record<string, unknown>>
        const { id, ...rest } = row ?? {}
        assert.match(String(id), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
        assert.deepStrictEqual(rest, {
          checksum: Crypto.createHash("sha256").update(text, "utf8").digest("hex"),
          finished_at: 0,
          migration_name: "1_create_parent",
          logs: null,
          rolled_back_at: null,
          started_at: 0,
          applied_steps_count: 1,
          startedType: "integer",
          finishedType: "integer"
        })
      })
    )

    it.scoped("does nothing the second time, not even to the bytes", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        const bytes = box.bytes()
        assert.deepStrictEqual(yield* box.migrate(), { applied: [], backup: Option.none() })
        assert.strictEqual(box.bytes(), bytes)
        assert.deepStrictEqual(box.files(), ["light.sqlite"])
      })
    )

    it.scoped("takes a migration again that was rolled back before", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        box.withSqlite((sqlite) =>
          sqlite.exec(
            `INSERT INTO _prisma_migrations (id, checksum, migration_name, rolled_back_at)
             VALUES ('x', 'other', '2_add_age', 1)`
          )
        )
        assert.deepStrictEqual((yield* box.migrate()).applied, ["2_add_age"])
        assert.deepStrictEqual(box.recordedNames(), ["1_create_parent", "2_add_age", "2_add_age"])
      })
    )

    it.scoped("keeps the children when Prisma redefines the table they cascade from", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_require_name", redefineParent)
        yield* box.migrate()
        assert.deepStrictEqual(box.all(`SELECT * FROM "Child"`), [
          { id: "c1", parentId: "p1" },
          { id: "c2", parentId: "p1" }
        ])
        assert.deepStrictEqual(box.all(`SELECT * FROM "Parent"`), [{ id: "p1", name: "nameless" }])
      })
    )
  })

  describe("a migration that fails", () => {
    it.scoped("leaves nothing of its first statement when its second fails", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_broken", `DELETE FROM "Child"; INSERT INTO "Missing" VALUES (1);`)
        const before = box.content()
        const error = yield* Effect.flip(box.migrate())
        assert.strictEqual(error._tag, "MigrationFailed")
        assert.include(error.message, "2_broken")
        assert.include(error.message, "no such table: Missing")
        assert.deepStrictEqual(box.content(), before)
      })
    )

    it.scoped("leaves no copy behind, since the file is what the copy was", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_broken", "nonsense")
        yield* Effect.flip(box.migrate())
        assert.deepStrictEqual(box.files(), ["light.sqlite"])
      })
    )

    it.scoped("keeps the migrations before it, and the backup from before them", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        box.addMigration("3_broken", "nonsense")
        yield* Effect.flip(box.migrate())
        assert.deepStrictEqual(box.recordedNames(), ["1_create_parent", "2_add_age"])
        assert.match(box.backups().join(), /^light\.sqlite\.before-2_add_age-\w+\.bak$/)
      })
    )

    it.scoped("names table and row when a foreign key would refer to a missing row, and rolls back", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_drop_parents", `DELETE FROM "Parent"`)
        const before = box.content()
        const error = yield* Effect.flip(box.migrate())
        assert.strictEqual(error._tag, "ForeignKeyBroken")
        if (error._tag === "ForeignKeyBroken") {
          const { parent, rowid, table, violationCount } = error
          assert.deepStrictEqual(
            { parent, rowid, table, violationCount },
            { parent: "Parent", rowid: 1, table: "Child", violationCount: 2 }
          )
        }
        assert.deepStrictEqual(box.content(), before)
      })
    )

    it.scoped("is refused before the file is opened when it would end its own transaction", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration(
          "2_commit",
          `INSERT INTO "Parent" VALUES ('p2', 'it''s; COMMIT'); -- ; COMMIT\n COMMIT; nonsense`
        )
        const bytes = box.bytes()
        const error = yield* Effect.flip(box.migrate())
        assert.strictEqual(error._tag, "MigrationFolderInvalid")
        assert.include(error.message, "2_commit contains COMMIT")
        assert.strictEqual(box.bytes(), bytes)
      })
    )

    it.scoped("may mention transactions in comments, literals and triggers", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration(
          "2_trigger",
          `-- BEGIN; COMMIT;
          INSERT INTO "Parent" VALUES ('p2', '; COMMIT');
          CREATE TRIGGER "keep" BEFORE DELETE ON "Parent" BEGIN SELECT RAISE(ROLLBACK, 'kept'); END;`
        )
        assert.deepStrictEqual((yield* box.migrate()).applied, ["2_trigger"])
      })
    )
  })

  describe("a file that does not fit this build", () => {
    it.scoped("is refused when it has a newer migration", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        yield* box.migrate()
        box.removeMigration("2_add_age")
        yield* refuses(box, "MigrationUnknown", ["2_add_age", "1_create_parent"])
      })
    )

    it.scoped("is refused when it has the migrations of another project", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.withSqlite((sqlite) => sqlite.exec(`UPDATE _prisma_migrations SET migration_name = '0_other_project'`))
        yield* refuses(box, "MigrationUnknown", ["0_other_project", "1_create_parent"])
      })
    )

    it.scoped("is refused when the text of a migration changed, down to a line break", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("1_create_parent", `${MigrationBox.createParent}\n`)
        const checksum = (text: string) => Crypto.createHash("sha256").update(text).digest("hex")
        yield* refuses(box, "MigrationEdited", [
          "1_create_parent",
          checksum(MigrationBox.createParent),
          checksum(`${MigrationBox.createParent}\n`)
        ])
      })
    )

    it.scoped("is refused when a migration in it is unfinished", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        box.withSqlite((sqlite) =>
          sqlite.exec(
            `INSERT INTO _prisma_migrations (id, checksum, migration_name, logs)
             VALUES ('x', 'y', '2_add_age', 'disk full')`
          )
        )
        yield* refuses(box, "MigrationUnfinished", ["2_add_age", "disk full"])
      })
    )

    it.scoped("is refused when it lacks a migration from before one it has", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("0_create_first", `CREATE TABLE "First" ("id" TEXT)`)
        yield* refuses(box, "MigrationSkipped", ["1_create_parent", "0_create_first"])
      })
    )

    it.scoped("is refused when it has tables and no record", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.withSqlite((sqlite) => sqlite.exec("DROP TABLE _prisma_migrations"))
        yield* refuses(box, "MigrationHistoryAbsent", ["Child, Parent", "1_create_parent"])
      })
    )

    it.scoped("is refused when its record has another shape", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.withSqlite((sqlite) => sqlite.exec("ALTER TABLE _prisma_migrations DROP COLUMN checksum"))
        yield* refuses(box, "DatabaseInvalid", ["no such column"])
      })
    )

    it.scoped("keeps its bytes when it is refused with a log that a killed process left behind", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        const killed = yield* MigrationBox.make
        box.withSqlite((sqlite) => {
          sqlite.pragma("journal_mode = WAL")
          sqlite.exec(`UPDATE _prisma_migrations SET migration_name = '0_other_project'`)
          for (const suffix of ["", "-wal", "-shm"]) {
            FileSystem.copyFileSync(`${box.filename}${suffix}`, `${killed.filename}${suffix}`)
          }
        })
        killed.addMigration("1_create_parent", MigrationBox.createParent)
        const log = FileSystem.readFileSync(`${killed.filename}-wal`)
        yield* refuses(killed, "MigrationUnknown", ["0_other_project"])
        assert.isAbove(log.length, 0)
        assert.isTrue(log.equals(FileSystem.readFileSync(`${killed.filename}-wal`)))
      })
    )
  })

  describe("a file that cannot be used", () => {
    for (const [kind, content] of [
      ["a long text", "not a database\n".repeat(1000)],
      ["a short text", "hello"],
      ["zeros", Buffer.alloc(8192)]
    ] as const) {
      it.scoped(`is refused when it is ${kind}`, () =>
        Effect.gen(function* () {
          const box = yield* MigrationBox.make
          box.addMigration("1_create_parent", MigrationBox.createParent)
          FileSystem.writeFileSync(box.filename, content)
          yield* refuses(box, "DatabaseInvalid", ["file is not a database"])
        })
      )
    }

    it.scoped("is refused when its first page is damaged", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        const file = FileSystem.readFileSync(box.filename)
        FileSystem.writeFileSync(box.filename, file.fill(0xff, 100, 1000))
        yield* refuses(box, "DatabaseInvalid", ["malformed"])
      })
    )

    it.scoped("is reported when its directory is missing", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        box.addMigration("1_create_parent", MigrationBox.createParent)
        const filename = Path.join(box.dir, "missing", "light.sqlite")
        const error = yield* Effect.flip(box.migrate({ filename }))
        assert.strictEqual(error._tag, "DatabaseUnreachable")
        assert.include(error.message, filename)
        assert.deepStrictEqual(box.files(), [])
      })
    )

    it.scoped("is reported when it is a directory", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        box.addMigration("1_create_parent", MigrationBox.createParent)
        const error = yield* Effect.flip(box.migrate({ filename: box.dir }))
        assert.strictEqual(error._tag, "DatabaseUnreachable")
      })
    )

    for (const [what, pathOf] of [
      ["it", (box: MigrationBox.MigrationBox) => box.filename],
      ["its directory", (box: MigrationBox.MigrationBox) => box.dir]
    ] as const) {
      it.scoped(`is reported, and not copied, when ${what} is read-only`, () =>
        Effect.gen(function* () {
          const box = yield* MigrationBox.family
          const { dir: backupDir } = yield* MigrationBox.make
          box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
          const isRoot = process.geteuid?.() === 0
          const nobody = 65_534
          for (const path of isRoot ? [box.dir, box.filename, backupDir] : [])
            FileSystem.chownSync(path, nobody, nobody)
          FileSystem.chmodSync(pathOf(box), 0o555)
          // The superuser can write everything, so this process changes its user for a moment.
          yield* Effect.acquireUseRelease(
            Effect.sync(() => isRoot && process.seteuid?.(nobody)),
            () => refuses(box, "DatabaseUnwritable", [], { backupDir }),
            () => Effect.sync(() => isRoot && process.seteuid?.(0))
          )
          FileSystem.chmodSync(pathOf(box), 0o755)
          assert.deepStrictEqual(FileSystem.readdirSync(backupDir), ["migrations"])
        })
      )
    }

    for (const [what, spoil] of [
      ["is missing", (box: MigrationBox.MigrationBox) => FileSystem.rmdirSync(box.migrationsDir)],
      ["is empty", () => undefined],
      [
        "has a migration without text",
        (box: MigrationBox.MigrationBox) => FileSystem.mkdirSync(Path.join(box.migrationsDir, "1_empty"))
      ]
    ] as const) {
      it.scoped(`is not created when the folder of migrations ${what}`, () =>
        Effect.gen(function* () {
          const box = yield* MigrationBox.make
          spoil(box)
          const error = yield* Effect.flip(box.migrate())
          assert.strictEqual(error._tag, "MigrationFolderInvalid")
          assert.include(error.message, box.migrationsDir)
          assert.deepStrictEqual(box.files(), [])
        })
      )
    }
  })

  describe("the copy from before", () => {
    it.scoped("has the content of the file, its log included, and is readable by its owner only", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_drop_children", `DELETE FROM "Child"`)
        const served = new Sqlite(box.filename)
        served.pragma("journal_mode = WAL")
        served.exec(`INSERT INTO "Child" VALUES ('c3', 'p1')`)
        const before = box.content()
        const report = yield* Effect.ensuring(
          box.migrate(),
          Effect.sync(() => served.close())
        )
        const backup = Option.getOrThrow(report.backup)
        assert.strictEqual(backup, `${box.filename}.before-2_drop_children-19700101T000000000Z.bak`)
        assert.strictEqual(FileSystem.statSync(backup).mode & 0o777, 0o600)
        assert.deepStrictEqual(box.content(backup), before)
        assert.strictEqual(box.content(backup)["Child"]?.length, 3)
        assert.deepStrictEqual(box.all(`SELECT * FROM "Child"`), [])
        assert.deepStrictEqual(box.files(), ["light.sqlite", Path.basename(backup)])
      })
    )

    it.scoped("is made once for a row of migrations, and goes to the configured directory", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        const backupDir = Path.join(box.dir, "copies")
        FileSystem.mkdirSync(backupDir)
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        box.addMigration("3_add_size", `ALTER TABLE "Parent" ADD COLUMN "size" INTEGER`)
        yield* box.migrate({ backupDir })
        assert.match(FileSystem.readdirSync(backupDir).join(), /^light\.sqlite\.before-2_add_age-\w+\.bak$/)
      })
    )

    it.scoped("is not made of a file without rows", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.make
        box.addMigration("1_create_parent", MigrationBox.createParent)
        yield* box.migrate()
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        assert.deepStrictEqual(yield* box.migrate(), { applied: ["2_add_age"], backup: Option.none() })
        assert.deepStrictEqual(box.files(), ["light.sqlite"])
      })
    )

    it.scoped("replaces what a killed process left of an earlier one", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        const before = box.content()
        FileSystem.writeFileSync(`${box.filename}.before-2_add_age.partial`, "half")
        const backup = Option.getOrThrow((yield* box.migrate()).backup)
        assert.deepStrictEqual(box.content(backup), before)
        assert.deepStrictEqual(box.files(), ["light.sqlite", Path.basename(backup)])
      })
    )

    it.scoped("stops the migration when it cannot be made", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        const before = box.content()
        const error = yield* Effect.flip(box.migrate({ backupDir: Path.join(box.dir, "missing") }))
        assert.strictEqual(error._tag, "BackupFailed")
        assert.include(error.message, Path.join(box.dir, "missing"))
        assert.deepStrictEqual(box.content(), before)
      })
    )
  })

  describe("more than one process", () => {
    it.scoped("gives up after the wait limit when another one holds the lock, and names the file", () =>
      Effect.gen(function* () {
        const box = yield* MigrationBox.family
        box.addMigration("2_add_age", `ALTER TABLE "Parent" ADD COLUMN "age" INTEGER`)
        const holder = new Sqlite(box.filename)
        holder.exec("BEGIN IMMEDIATE")
        const error = yield* refuses(box, "MigrationBusy", ["20 ms"]).pipe(
          Effect.ensuring(Effect.sync(() => holder.close()))
        )
        assert.isTrue(error.isRetryable)
        assert.deepStrictEqual((yield* box.migrate()).applied, ["2_add_age"])
      })
    )
  })

  it.effect("finds the migrations of this repository", () =>
    Effect.gen(function* () {
      const migrations = yield* MigrationFolder.read(MigrationFolder.bundledDir)
      assert.strictEqual(migrations[0].name, "20261123000000_create_presence_tables")
    })
  )
})
