import { assert, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Layer, Schema } from "effect"
import fs from "node:fs"
import path from "node:path"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import { Writer } from "presence-effect/writer/Writer"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as ExitCode from "../../src/ExitCode.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as PostgresCopy from "../../src/operator/PostgresCopy.ts"
import * as Recount from "../../src/quota/Recount.ts"
import * as QuotaStores from "../quota/QuotaStores.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"

/** A file with rows in which each type of column occurs, and what differs between the two databases. */
const makeFile = Effect.gen(function* () {
  const directory = yield* TemporaryDirectory.make
  const file = path.join(directory, "light.sqlite")
  yield* PrismaMigrator.migrate({ filename: file, migrationsDir: MigrationFolder.bundledDir })
  const sqlite = new Sqlite(file)
  addTwoSessions({ sqlite })
  addMessages({ sqlite }, "s1", 1200, 20)
  sqlite.exec(`
    UPDATE "Session" SET "dataEncryptionKey" = x'00ff10', "active" = 0,
      "metadata" = '{"a":"ä\u{1f600}\\"}' WHERE "id" = 's2';
    UPDATE "Account" SET "feedSeq" = 9223372036854775807, "settings" = '' WHERE "id" = 'a1';
    UPDATE "Account"
      SET "createdAt" = '2026-02-01T12:00:00.000+00:00' WHERE "id" = 'a2';
    INSERT INTO "UserKVStore" ("id", "accountId", "key", "value", "createdAt", "updatedAt")
      VALUES ('k1', 'a1', 'k', x'', 1, 1), ('k2', 'a1', 'K', NULL, 1, 1);
    INSERT INTO "ServerHeartbeat" VALUES (1, 5);
  `)
  sqlite.close()
  return { directory, file }
})

const query = (file: string, sql: string) => {
  const sqlite = new Sqlite(file, { readonly: true })
  try {
    return sqlite.prepare(sql).safeIntegers().all()
  } finally {
    sqlite.close()
  }
}

PostgresWorld.describePostgres("PostgresCopy", () => {
  it.scopedLive("copies every row to PostgreSQL and back, and compares what it wrote", () =>
    Effect.gen(function* () {
      const { address, query: ask } = yield* PostgresWorld.PostgresWorld
      const { directory, file } = yield* makeFile
      const there = yield* PostgresCopy.toPostgres({ file, address })
      const counts = Object.fromEntries(there.tables.map(({ rowCount, table }) => [table, rowCount]))
      assert.deepInclude(counts, { Account: 2, Session: 2, SessionMessage: 1200, UserKVStore: 2, ServerHeartbeat: 1 })
      const [account] = yield* ask(`SELECT "feedSeq"::text, "settings" FROM "Account" WHERE "id" = 'a1'`)
      assert.deepStrictEqual(account, { feedSeq: "9223372036854775807", settings: "" })
      const [session] = yield* ask(`SELECT "active", "dataEncryptionKey" FROM "Session" WHERE "id" = 's2'`)
      assert.deepStrictEqual(session, { active: false, dataEncryptionKey: Buffer.from([0, 255, 16]) })

      const back = path.join(directory, "back.sqlite")
      const again = yield* PostgresCopy.toFile({ file: back, address })
      assert.deepStrictEqual(again.tables, there.tables)
      // All but the time that was text: PostgreSQL has milliseconds.
      for (const table of ["Session", "SessionMessage", "UserKVStore"]) {
        const select = `SELECT * FROM "${table}" ORDER BY "id"`
        assert.deepStrictEqual(query(back, select), query(file, select), table)
      }
      assert.deepStrictEqual(query(back, `SELECT "createdAt" FROM "Account" WHERE "id" = 'a2'`), [
        { createdAt: BigInt(Date.UTC(2026, 1, 1, 12)) }
      ])
      assert.deepStrictEqual(query(back, "PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      assert.deepStrictEqual(
        fs.readdirSync(directory).filter((name) => name.includes("copying")),
        []
      )
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("keeps what accounts store: nothing of the copy is counted once more", () =>
    Effect.gen(function* () {
      const { address } = yield* PostgresWorld.PostgresWorld
      const { directory, file } = yield* makeFile
      const limits = { bytes: 1e9, rows: 1e6 }
      const counted = Effect.gen(function* () {
        const kept = yield* (yield* DatabaseReader).rows(
          Schema.Struct({ accountId: Schema.String, bytes: Schema.Number, rows: Schema.Number }),
          `SELECT "accountId", "byteCount" AS "bytes", "rowCount" AS "rows" FROM "PresenceAccountUsage"
           WHERE "isCounted" ORDER BY "accountId"`
        )
        for (const { accountId, bytes, rows } of kept) {
          assert.deepStrictEqual(yield* Recount.sum(yield* DatabaseReader, accountId), { bytes, rows })
        }
        return kept
      })
      const before = yield* Effect.gen(function* () {
        // One that was opened with a quota, and two that are counted.
        yield* QuotaStores.openAccount("a3")
        yield* QuotaStores.session("a3", "s3", 10)
        for (const accountId of ["a1", "a2"]) yield* Recount.run(yield* DatabaseReader, yield* Writer, accountId)
        return yield* counted
      }).pipe(Effect.provide(QuotaStores.stores.pipe(Layer.provideMerge(FileDatabase.openedLayer(file, limits)))))
      assert.deepStrictEqual(
        before.map(({ rows }) => rows),
        [1203, 1, 1]
      )
      yield* PostgresCopy.toPostgres({ file, address })
      assert.deepStrictEqual(yield* Effect.provide(counted, PostgresWorld.openedLayer(address, { limits })), before)
      const back = path.join(directory, "back.sqlite")
      yield* PostgresCopy.toFile({ file: back, address })
      // As a server opens it: with a log beside the file.
      assert.deepStrictEqual(yield* Effect.provide(counted, FileDatabase.openedLayer(back, limits)), before)
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("refuses a target that is not empty, and a file of a server that runs", () =>
    Effect.gen(function* () {
      const { address } = yield* PostgresWorld.PostgresWorld
      const { file } = yield* makeFile
      const running = yield* Effect.scoped(
        Effect.zipRight(InstanceLock.hold(file), Effect.flip(PostgresCopy.toPostgres({ file, address })))
      )
      assert.strictEqual(running._tag, "InstanceRunning")
      assert.strictEqual(ExitCode.of(running), 6)
      yield* PostgresCopy.toPostgres({ file, address })
      const full = yield* Effect.flip(PostgresCopy.toPostgres({ file, address }))
      assert.strictEqual(
        full.message,
        `nothing was copied, because of ${address.place}: its table Account is not empty`
      )
      const there = yield* Effect.flip(PostgresCopy.toFile({ file, address }))
      assert.include(there.message, "it exists; name a new file")
      assert.strictEqual(ExitCode.of(there), 4)
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("keeps nothing when a row cannot be copied, and names the row and no value", () =>
    Effect.gen(function* () {
      const { address, query: ask } = yield* PostgresWorld.PostgresWorld
      const { file } = yield* makeFile
      const sqlite = new Sqlite(file)
      sqlite.prepare(`UPDATE "Session" SET "metadata" = ? WHERE "id" = 's2'`).run("canary\u0000")
      sqlite.close()
      const refused = yield* Effect.flip(PostgresCopy.toPostgres({ file, address }))
      assert.include(refused.message, "Session.metadata of the row s2 cannot be copied: it holds the character U+0000")
      assert.notInclude(refused.message, "canary")
      assert.deepStrictEqual(yield* ask(`SELECT "id" FROM "Account"`), [])
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )

  it.scopedLive("demands that no server uses the database, and that its schema is complete", () =>
    Effect.gen(function* () {
      const { address, connect } = yield* PostgresWorld.PostgresWorld
      const { directory, file } = yield* makeFile
      const empty = yield* Effect.flip(PostgresCopy.toFile({ file: path.join(directory, "new.sqlite"), address }))
      assert.strictEqual(empty._tag, "MigrationsMissing")
      const server = yield* connect
      yield* Effect.promise(() => server.query(`SET application_name = 'happier-light-server'`))
      const used = yield* Effect.flip(PostgresCopy.toPostgres({ file, address }))
      assert.include(used.message, "a server uses it; stop the server first")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.empty))
  )
})
