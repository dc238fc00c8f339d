import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as ExitCode from "../../src/ExitCode.ts"
import * as PostgresMigrator from "../../src/postgres/PostgresMigrator.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as PostgresWorld from "../support/PostgresWorld.ts"

const migrate = (options: Partial<PostgresMigrator.Options> = {}) =>
  Effect.flatMap(PostgresWorld.PostgresWorld, ({ address }) =>
    PostgresMigrator.migrate(address, { isAllowed: true, ...options })
  )

/** Names of everything in the schema. */
const relations = Effect.flatMap(PostgresWorld.PostgresWorld, ({ query, schema }) =>
  Effect.map(query(`SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace`, [schema]), (rows) =>
    rows.map(({ relname }) => String(relname)).toSorted()
  )
)

const bundled = fs
  .readdirSync(PostgresMigrator.bundledDir, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .toSorted()

/** The migrations of this build, and one that a later build may have. */
const later = Effect.gen(function* () {
  const directory = path.join(yield* TemporaryDirectory.make, "migrations")
  fs.cpSync(PostgresMigrator.bundledDir, directory, { recursive: true })
  fs.mkdirSync(path.join(directory, "20991231000000_add_note"))
  fs.writeFileSync(
    path.join(directory, "20991231000000_add_note", "migration.sql"),
    `CREATE TABLE "Note" ("id" TEXT PRIMARY KEY);`
  )
  return directory
})

PostgresWorld.describePostgres("PostgresMigrator", () => {
  it.scopedLive("creates the tables, records the migrations as Prisma does, and does nothing a second time", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const [first, ...rest] = yield* migrate()
      assert.deepStrictEqual([first, ...rest], bundled)
      assert.strictEqual(first, "20261128000000_create_tables")
      const before = yield* relations
      assert.deepStrictEqual(yield* migrate(), [])
      assert.deepStrictEqual(yield* relations, before)
      const [record] = yield* query(`SELECT * FROM "_prisma_migrations" ORDER BY "migration_name"`)
      assert.match(record?.["checksum"], /^[0-9a-f]{64}$/)
      assert.deepInclude(record, { migration_name: first, rolled_back_at: null, applied_steps_count: 1 })
      assert.instanceOf(record?.["finished_at"], Date)
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("lets several servers that start at once migrate once: the others wait", () =>
    Effect.gen(function* () {
      const applied = yield* Effect.all(
        Array.from({ length: 4 }, () => migrate()),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(applied.map(({ length }) => length).toSorted(), [0, 0, 0, bundled.length])
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("waits for another migration, and gives up after the limit with nothing written", () =>
    Effect.gen(function* () {
      const { connect } = yield* PostgresWorld.PostgresWorld
      const holder = yield* connect
      yield* Effect.promise(() => holder.query(`SELECT pg_advisory_lock(7041100, hashtext(current_schema()))`))
      const busy = yield* Effect.flip(migrate({ lockTimeout: "50 millis" }))
      assert.strictEqual(busy._tag, "MigrationBusy")
      assert.strictEqual(ExitCode.of(busy), 75)
      assert.deepStrictEqual(yield* relations, [])
      const asked = yield* Deferred.make<void>()
      const waiting = yield* Effect.fork(Effect.zipRight(Deferred.succeed(asked, undefined), migrate()))
      yield* Deferred.await(asked)
      yield* Effect.promise(() => holder.end())
      assert.lengthOf(yield* Fiber.join(waiting), bundled.length)
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("refuses a schema of a newer build, an edited one and a foreign one, and writes nothing", () =>
    Effect.gen(function* () {
      const { address, query } = yield* PostgresWorld.PostgresWorld
      assert.lengthOf(yield* migrate({ migrationsDir: yield* later }), bundled.length + 1)
      const before = yield* relations
      const unknown = yield* Effect.flip(migrate())
      assert.strictEqual(unknown._tag, "MigrationUnknown")
      assert.include(unknown.message, `${address.place} has migration 20991231000000_add_note`)
      assert.strictEqual(ExitCode.of(unknown), 5)
      yield* query(`DELETE FROM "_prisma_migrations" WHERE "migration_name" LIKE '2099%'`)
      yield* query(`UPDATE "_prisma_migrations" SET "checksum" = 'other'`)
      assert.strictEqual((yield* Effect.flip(migrate()))._tag, "MigrationEdited")
      yield* query(`DROP TABLE "_prisma_migrations"`)
      const foreign = yield* Effect.flip(migrate())
      assert.strictEqual(foreign._tag, "MigrationHistoryAbsent")
      assert.deepStrictEqual(
        yield* relations,
        before.filter((name) => !name.startsWith("_prisma"))
      )
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("names what is missing where it may not migrate, and writes nothing", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(migrate({ isAllowed: false }))
      assert.strictEqual(missing._tag, "MigrationsMissing")
      assert.deepStrictEqual(yield* relations, [])
    }).pipe(Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("rolls a migration back whole that fails, with its record", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const directory = yield* later
      const file = path.join(directory, "20991231000000_add_note", "migration.sql")
      fs.writeFileSync(file, `CREATE TABLE "Note" ("id" TEXT PRIMARY KEY);\nSELECT 1 / 0;`)
      const failed = yield* Effect.flip(migrate({ migrationsDir: directory }))
      assert.strictEqual(failed._tag, "MigrationFailed")
      assert.notInclude(yield* relations, "Note")
      assert.lengthOf(yield* query(`SELECT 1 FROM "_prisma_migrations"`), bundled.length)
    }).pipe(Effect.provide(PostgresWorld.empty))
  )
})

PostgresWorld.describePostgres("a database that cannot be used", () => {
  const role = `light_guest_${process.pid}`

  const guest = Effect.acquireRelease(
    Effect.flatMap(PostgresWorld.PostgresWorld, ({ query }) => query(`CREATE ROLE ${role} LOGIN PASSWORD 'guest'`)),
    () =>
      Effect.flatMap(PostgresWorld.PostgresWorld, ({ query }) =>
        Effect.zipRight(query(`DROP OWNED BY ${role}`), query(`DROP ROLE ${role}`))
      )
  )

  const refusal = (change: (url: URL) => void) =>
    Effect.flip(PostgresMigrator.migrate(PostgresWorld.serverAddress(change), { isAllowed: true }))

  it.scopedLive("is named with its place, without a password, when the database does not exist", () =>
    Effect.gen(function* () {
      const failure = yield* refusal((url) => {
        url.pathname = "/no_such_database"
        url.password = "canary"
      })
      // A server that asks for passwords looks at the password first.
      assert.match(failure.message, /^postgres:\/\/127\.0\.0\.1:\d+\/no_such_database cannot be used \((3D000|28P01)\)/)
      assert.notInclude(failure.message, "canary")
      assert.strictEqual(ExitCode.of(failure), 4)
    })
  )

  it.scopedLive("is refused for a user that may not log in", () =>
    Effect.gen(function* () {
      const failure = yield* refusal((url) => {
        url.username = "nobody_at_all"
        url.password = "canary"
      })
      assert.match(failure.message, /cannot be used \((28000|28P01)\)/)
      assert.notInclude(failure.message, "canary")
    })
  )

  it.scopedLive("may come later when nothing answers", () =>
    Effect.gen(function* () {
      const failure = yield* refusal((url) => {
        url.port = "1"
      })
      assert.strictEqual(failure._tag, "PostgresUnreachable")
      assert.strictEqual(ExitCode.of(failure), 75)
    })
  )

  it.scopedLive("is refused without the right to create tables, and without a schema", () =>
    Effect.gen(function* () {
      const { query, schema } = yield* PostgresWorld.PostgresWorld
      yield* guest
      yield* query(`GRANT USAGE ON SCHEMA ${schema} TO ${role}`)
      const asGuest = (searchPath: string) =>
        refusal((url) => {
          url.username = role
          url.password = "guest"
          url.search = `?options=-csearch_path%3D${searchPath}`
        })
      const failure = yield* asGuest(schema)
      assert.include(failure.message, "cannot be used (42501)")
      assert.include(failure.message, "it needs CREATE on the schema")
      assert.deepStrictEqual(yield* relations, [])
      const homeless = yield* asGuest("no_such_schema")
      assert.include(homeless.message, "cannot be used (SCHEMA): no schema of its search_path exists")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("is refused in another encoding than UTF-8", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const name = `light_ascii_${process.pid}`
      yield* Effect.acquireRelease(
        query(`CREATE DATABASE ${name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0`),
        () => query(`DROP DATABASE ${name} WITH (FORCE)`)
      )
      const failure = yield* refusal((url) => {
        url.pathname = `/${name}`
      })
      assert.include(failure.message, "(ENCODING): its encoding is SQL_ASCII")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it("is refused when its server is too old, or a standby", () => {
    const fine = { version: 150_020, versionText: "15.20", encoding: "UTF8", schema: "public", isStandby: false }
    assert.isUndefined(PostgresMigrator.problemOf(fine))
    assert.deepStrictEqual(PostgresMigrator.problemOf({ ...fine, version: 140_001, versionText: "14.1" }), {
      code: "VERSION",
      reason: "it runs PostgreSQL 14.1; 15 is the oldest that works"
    })
    assert.strictEqual(PostgresMigrator.problemOf({ ...fine, isStandby: true })?.code, "STANDBY")
  })
})
