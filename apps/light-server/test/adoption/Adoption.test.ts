/**
 * Files of another happier light server. The fixtures hold its tables, with and without columns of later releases,
 * and times in every form it has ever stored.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Adoption from "../../src/adoption/Adoption.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import * as ServerSchema from "../../src/adoption/ServerSchema.ts"
import * as FixtureBox from "proving/fixtures/FixtureBox"
import * as MigrationBox from "../migration/MigrationBox.ts"

const sound = ["integers", "iso-text", "mixed"] as const

/** Fails unless the file is refused, with every reason, and keeps its bytes and its neighbours. */
const refuses = (box: FixtureBox.FixtureBox, reasons: ReadonlyArray<string>, migrationsDir?: string) =>
  Effect.gen(function* () {
    const bytes = box.bytes()
    const files = box.files()
    const error = yield* Effect.flip(box.adopt(migrationsDir === undefined ? {} : { migrationsDir }))
    assert.strictEqual(error._tag, "AdoptionRefused")
    assert.deepStrictEqual(error._tag === "AdoptionRefused" ? error.reasons : [], reasons)
    assert.include(error.message, box.filename)
    assert.strictEqual(box.bytes(), bytes)
    assert.deepStrictEqual(box.files(), files)
  })

describe("Adoption", () => {
  describe("a file of another happier light server", () => {
    it.scoped.each(sound)("keeps every table, column and row of %s, and gets what is missing", (name) =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make(name)
        const before = box.content()
        const { additions, backup } = yield* FixtureBox.adopted(box)
        const after = box.content()
        assert.includeMembers(
          additions.map(({ adds }) => adds),
          [
            "table TokenRevocation",
            "index presence_Session_active_lastActiveAt_idx",
            "index presence_Machine_active_lastActiveAt_idx"
          ]
        )
        for (const { sql } of additions) {
          assert.match(
            sql,
            /^(CREATE (TABLE|(UNIQUE )?INDEX) IF NOT EXISTS|ALTER TABLE "\w+" ADD COLUMN|INSERT INTO "Presence\w+") /
          )
        }
        for (const [table, { rows, sql }] of Object.entries(before)) {
          const added = additions.filter(({ adds }) => adds.startsWith(`column ${table}.`))
          const widened = rows.map((row) => [row, ...added.map(() => "null NULL")].join(", "))
          assert.deepStrictEqual(after[table]?.rows, widened, table)
          if (added.length === 0) assert.strictEqual(after[table]?.sql, sql, table)
        }
        const migrations = yield* MigrationFolder.read(MigrationFolder.bundledDir)
        const ours = yield* ServerSchema.read(MigrationFolder.bundledDir, migrations)
        assert.sameMembers(
          Object.keys(after).filter((table) => before[table] === undefined),
          [Adoption.recordTable, ...ours.tables.keys()].filter((table) => before[table] === undefined)
        )
        assert.deepStrictEqual(FixtureBox.content(Option.getOrThrow(backup)), before)
      })
    )

    it.scoped("gets columns that an early release did not have, with their defaults", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec(`ALTER TABLE Account DROP COLUMN changesFloor; ALTER TABLE Account DROP COLUMN contentPublicKey;
          ALTER TABLE AccountChange DROP COLUMN machineId; ALTER TABLE Account DROP COLUMN feedSeq`)
        const { additions } = yield* FixtureBox.adopted(box)
        assert.deepStrictEqual(
          additions.filter(({ adds }) => adds.startsWith("column ")).map(({ sql }) => sql),
          [
            `ALTER TABLE "Account" ADD COLUMN "contentPublicKey" BLOB`,
            `ALTER TABLE "Account" ADD COLUMN "changesFloor" INTEGER NOT NULL DEFAULT 0`,
            `ALTER TABLE "AccountChange" ADD COLUMN "machineId" TEXT REFERENCES "Machine" ("id") ` +
              "ON DELETE SET NULL ON UPDATE CASCADE"
          ]
        )
        assert.deepStrictEqual(box.all("SELECT DISTINCT changesFloor, contentPublicKey FROM Account"), [
          { changesFloor: 0, contentPublicKey: null }
        ])
      })
    )

    it.scoped("gets whole tables that an early release did not have", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec("DROP TABLE AccountChange; DROP TABLE UsageReport; DROP TABLE _prisma_migrations")
        yield* FixtureBox.adopted(box)
        assert.deepStrictEqual(
          box.all(
            "SELECT (SELECT count(*) FROM UsageReport) AS reports, (SELECT count(*) FROM AccountChange) AS changes"
          ),
          [{ reports: 0, changes: 0 }]
        )
      })
    )

    it.scoped.each(sound)("is left alone at the second start of %s, down to the bytes", (name) =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make(name)
        yield* box.adopt()
        const bytes = box.bytes()
        const files = box.files()
        assert.deepStrictEqual(yield* box.adopt(), Option.some({ additions: [], backup: Option.none() }))
        assert.strictEqual(box.bytes(), bytes)
        assert.deepStrictEqual(box.files(), files)
      })
    )

    it.scoped("is recorded with the newest migration of both sides", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("iso-text")
        const { additions } = yield* FixtureBox.adopted(box)
        const migrations = yield* MigrationFolder.read(MigrationFolder.bundledDir)
        assert.deepStrictEqual(box.all(`SELECT * FROM "${Adoption.recordTable}"`), [
          {
            id: 1,
            schemaVersion: migrations.at(-1)?.name,
            theirMigration: "20260219000000_revocation",
            additions: JSON.stringify(additions.map(({ sql }) => sql)),
            adoptedAt: 0
          }
        ])
      })
    )

    it.scoped("gets the additions of a later build on top, as a second record", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        yield* box.adopt()
        const later = yield* MigrationBox.make
        fs.cpSync(MigrationFolder.bundledDir, later.migrationsDir, { recursive: true })
        later.addMigration("29991231235959_add_colour", `ALTER TABLE "Machine" ADD COLUMN "colour" TEXT`)
        const { additions } = Option.getOrThrow(yield* box.adopt({ migrationsDir: later.migrationsDir }))
        assert.deepStrictEqual(additions, [
          { adds: "column Machine.colour", sql: `ALTER TABLE "Machine" ADD COLUMN "colour" TEXT` }
        ])
        assert.strictEqual(box.all(`SELECT * FROM "${Adoption.recordTable}"`).length, 2)
        // The previous build lacks what the later one relies on.
        const { schemaVersion } = box.all(
          `SELECT max(schemaVersion) AS schemaVersion FROM "${Adoption.recordTable}"`
        )[0] as { readonly schemaVersion: string }
        const newest = (yield* MigrationFolder.read(MigrationFolder.bundledDir)).at(-1)?.name
        yield* refuses(box, [`a build with migration ${schemaVersion} adopted it; the newest of this one is ${newest}`])
      })
    )

    it.scoped("waits for permission where migrations are applied by hand", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const bytes = box.bytes()
        const error = yield* Effect.flip(box.adopt({ isAllowed: false }))
        assert.strictEqual(error._tag, "AdoptionMissing")
        assert.include(error.message, "index presence_Session_active_lastActiveAt_idx")
        assert.strictEqual(box.bytes(), bytes)
        yield* box.adopt()
        assert.isTrue(Option.isSome(yield* box.adopt({ isAllowed: false })))
      })
    )
  })

  describe("any other file", () => {
    it.scoped("is left to the migrations", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        fs.rmSync(box.filename)
        assert.deepStrictEqual(yield* box.adopt(), Option.none())
        assert.deepStrictEqual(box.files(), [])

        const options = { filename: box.filename, migrationsDir: MigrationFolder.bundledDir }
        yield* PrismaMigrator.migrate(options)
        const bytes = box.bytes()
        assert.deepStrictEqual(yield* box.adopt(), Option.none())
        assert.strictEqual(box.bytes(), bytes)

        fs.rmSync(box.filename)
        box.exec(`CREATE TABLE "Account" ("id" TEXT); CREATE TABLE "Session" ("id" TEXT)`)
        assert.deepStrictEqual(yield* box.adopt(), Option.none())
        assert.strictEqual((yield* Effect.flip(PrismaMigrator.migrate(options)))._tag, "MigrationHistoryAbsent")
      })
    )

    it.scoped("is reported when it is not a database", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        fs.writeFileSync(box.filename, "not a database\n".repeat(1000))
        const bytes = box.bytes()
        assert.strictEqual((yield* Effect.flip(box.adopt()))._tag, "DatabaseInvalid")
        assert.strictEqual(box.bytes(), bytes)
      })
    )
  })

  describe("a file it cannot serve", () => {
    it.scoped("is refused with every reason at once", () =>
      Effect.gen(function* () {
        yield* refuses(yield* FixtureBox.make("broken"), [
          "Session.lastActiveAt is missing",
          "Machine.metadata is declared INTEGER, not TEXT"
        ])
      })
    )

    const damages: ReadonlyArray<readonly [title: string, sql: string, reason: string]> = [
      [
        "an unfinished migration",
        "UPDATE _prisma_migrations SET finished_at = NULL, logs = 'disk full' WHERE migration_name LIKE '%changes'",
        "its migration 20260202000000_account_changes is unfinished: disk full"
      ],
      [
        "a column that it would leave empty",
        `CREATE TABLE new (id TEXT PRIMARY KEY, epoch INTEGER NOT NULL, accountId TEXT); DROP TABLE AccountAuthRequest;
         CREATE TABLE AccountAuthRequest (id TEXT PRIMARY KEY, publicKey TEXT, response TEXT, responseAccountId TEXT,
           createdAt DATETIME, updatedAt DATETIME, tenant TEXT NOT NULL)`,
        "AccountAuthRequest.tenant must be filled in and has no default, and this server does not know it"
      ],
      [
        "another primary key",
        `DROP TABLE TerminalAuthRequest; CREATE TABLE TerminalAuthRequest (id TEXT, publicKey TEXT PRIMARY KEY,
           supportsV2 BOOLEAN, response TEXT, responseAccountId TEXT, createdAt DATETIME, updatedAt DATETIME)`,
        "TerminalAuthRequest has the primary key (publicKey), not (id)"
      ],
      [
        "a foreign index of one of our names",
        "CREATE INDEX presence_Session_active_lastActiveAt_idx ON Session(lastActiveAt)",
        "index presence_Session_active_lastActiveAt_idx is over Session (lastActiveAt), not as this server needs it"
      ],
      [
        "rows that would violate a unique index",
        `INSERT INTO UsageReport SELECT 'u3', key, accountId, sessionId, data, createdAt, updatedAt
         FROM UsageReport WHERE id = 'u2'`,
        "UsageReport has 1 groups of rows with the same (accountId, key), which must be unique"
      ],
      [
        "a value that is not a time",
        "UPDATE Machine SET lastActiveAt = 'yesterday' WHERE id = 'm1'",
        "Machine.lastActiveAt of 1 rows is no time"
      ]
    ]

    it.scoped.each(damages)("is refused for %s", ([, sql, reason]) =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        box.exec(sql)
        yield* refuses(box, [reason])
      })
    )

    it.scoped("is reported when another process holds its lock, and adopted when that process has ended", () =>
      Effect.gen(function* () {
        const box = yield* FixtureBox.make("integers")
        const refused = FixtureBox.withSqlite(box.filename, (holder) => {
          holder.exec("BEGIN IMMEDIATE")
          return Effect.runSync(Effect.flip(box.adopt()))
        })
        assert.strictEqual(refused._tag, "MigrationBusy")
        assert.isTrue(Option.isSome(yield* box.adopt()))
      })
    )
  })
})

describe("untouchedColumns", () => {
  it("are named by no other source file of the server", () => {
    const source = path.resolve(import.meta.dirname, "../../src")
    const names = Object.values(ServerSchema.untouchedColumns).flatMap((columns) => columns ?? [])
    const mentions = (fs.readdirSync(source, { recursive: true }) as Array<string>)
      .filter((file) => file.endsWith(".ts") && !file.endsWith("ServerSchema.ts"))
      .flatMap((file) => {
        const text = fs.readFileSync(path.join(source, file), "utf8")
        return names.filter((name) => new RegExp(`\\b${name}\\b`).test(text)).map((name) => `${file} names ${name}`)
      })
    assert.deepStrictEqual(mentions, [])
  })
})
