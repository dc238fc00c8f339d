import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { describe } from "vitest"
import type { FlushEntry, FlushState } from "../../src/presence/FlushBatch.ts"
import * as FlushBatch from "../../src/presence/FlushBatch.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import * as MysqlEngine from "../../src/mysql/MysqlEngine.ts"
import * as MysqlPresenceStorage from "../../src/mysql/MysqlPresenceStorage.ts"
import * as MysqlReader from "../../src/mysql/MysqlReader.ts"
import * as MysqlTables from "../../src/mysql/MysqlTables.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import * as Writer from "../../src/writer/Writer.ts"
import { describeMysql, makeMysql } from "../support/mysqlWorld.ts"

const hour = 3_600_000
const devices = { device: { table: "Device", accountId: "accountId" } } as const

/** The storage, closed with the scope of the test. */
const open = (url: string, kinds: PresenceKinds, chunkRows = 60) =>
  Effect.map(
    Layer.build(
      MysqlPresenceStorage.layer({ kinds, chunkRows }).pipe(
        Layer.provide(Writer.layer()),
        Layer.provide(MysqlEngine.layer({ url })),
        Layer.provide(MysqlReader.layer({ url }))
      )
    ),
    Context.get(PresenceStorage)
  )

interface Form {
  readonly ddl: string
  readonly time: string
  readonly millis: string
}

const ofLibrary: Form = {
  ddl: MysqlTables.ddl(PresenceStorageContract.kinds),
  time: "?",
  millis: "lastActiveAt"
}

/** The default collation of the server folds case and ignores blanks at the end; times as Prisma writes them. */
const ofPrisma: Form = {
  ddl: ofLibrary.ddl
    .replaceAll("CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", "CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
    .replaceAll("BIGINT NOT NULL DEFAULT 0", "DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)"),
  time: "TIMESTAMPADD(MICROSECOND, ? * 1000, '1970-01-01')",
  millis: "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', lastActiveAt) DIV 1000"
}

const worldOf = (form: Form) =>
  Effect.gen(function* () {
    const { query, url } = yield* makeMysql(form.ddl)
    const storage = yield* open(url, PresenceStorageContract.kinds)
    const tableOf = (kind: PresenceStorageContract.ContractKind) => PresenceStorageContract.kinds[kind].table
    const world: PresenceStorageContract.World = {
      storage,
      chunkRows: 60,
      insert: async (kind, id, accountId, { active, lastActiveMillis }) => {
        const hasAccount = kind !== "sensor"
        await query(
          `INSERT INTO \`${tableOf(kind)}\` (id, active, lastActiveAt${hasAccount ? ", accountId" : ""})
           VALUES (?, ?, ${form.time}${hasAccount ? ", ?" : ""})`,
          [id, active, lastActiveMillis, ...(hasAccount ? [accountId] : [])]
        )
      },
      read: async (kind, id, accountId = "a") => {
        const [row] = await query(
          `SELECT active, ${form.millis} AS millis FROM \`${tableOf(kind)}\`
           WHERE BINARY id = ? AND ${kind === "laptop" ? "accountId" : "'a'"} = ?`,
          [id, kind === "laptop" ? accountId : "a"]
        )
        return row && { active: row["active"] === 1, lastActiveMillis: Number(row["millis"]) }
      }
    }
    return world
  })

describeMysql("MariaDB", () => {
  for (const [name, form] of Object.entries({
    "MariaDB, tables of the library": ofLibrary,
    "MariaDB, tables of Prisma": ofPrisma
  })) {
    PresenceStorageContract.suite({ describe, it }, name, worldOf(form))
  }
})

const entryOf = (id: string, seenAtMillis: number, state: FlushState = "alive"): FlushEntry => ({
  kind: "device",
  id,
  accountId: "a",
  seenAtMillis,
  state
})

describeMysql("MysqlPresenceStorage", () => {
  it.scoped("defers the row that another transaction holds, and neither waits for it nor takes it for missing", () =>
    Effect.gen(function* () {
      const world = yield* makeMysql(MysqlTables.ddl(devices))
      const ids = ["free", "held", "ended", "offline", "old"]
      yield* Effect.promise(() =>
        world.query("INSERT INTO Device VALUES ?", [ids.map((id) => [id, "a", id !== "held", id === "old" ? 9 : 5])])
      )
      const storage = yield* open(world.url, devices)
      const foreign = yield* Effect.promise(world.connect)
      yield* Effect.promise(() =>
        // In repeatable read it would hold the rows beside those too.
        foreign.query(
          `SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
          BEGIN; SELECT * FROM Device WHERE id IN ('held', 'ended', 'offline', 'old') FOR UPDATE`
        )
      )
      const [free, held, ended] = [entryOf("free", 6), entryOf("held", 6), entryOf("ended", 6, "ended")]
      const [offline, old, nowhere] = [entryOf("offline", 5, "offline"), entryOf("old", 6), entryOf("nowhere", 6)]
      const report = yield* storage.flush(FlushBatch.make([free, held, ended, offline, old, nowhere]))
      assert.deepStrictEqual(report, {
        // What the row holds already needs no lock.
        written: [free, { ...old, storedMillis: 9 }],
        superseded: [],
        missing: [nowhere],
        deferred: [held, ended, offline],
        chunkCount: 1
      })
      const believable = { firstMillis: hour, lastMillis: 2 * hour }
      const keys = ["offline", "free"].map((id) => ({ kind: "device", accountId: "a", id }))
      assert.deepStrictEqual(yield* storage.markOffline(keys, believable), [{ key: keys[1]!, lastSeenMillis: 6 }])
      yield* Effect.promise(() => foreign.query("COMMIT"))
      assert.deepStrictEqual(yield* storage.markOffline(keys, believable), [{ key: keys[0]!, lastSeenMillis: 5 }])
      const again = yield* storage.flush(FlushBatch.make([held, ended]))
      assert.deepStrictEqual(again.written, [held, ended])
    })
  )

  it.scoped("lets two replicas flush the same rows in two orders at once without a deadlock", () =>
    Effect.gen(function* () {
      const world = yield* makeMysql(MysqlTables.ddl(devices))
      const ids = Array.from({ length: 400 }, (_, index) => `d${index}`)
      yield* Effect.promise(() => world.query("INSERT INTO Device VALUES ?", [ids.map((id) => [id, "a", false, 0])]))
      const [one, other] = [yield* open(world.url, devices, 400), yield* open(world.url, devices, 400)]
      for (let round = 1; round <= 8; round++) {
        const entries = ids.map((id) => entryOf(id, round))
        const reports = yield* Effect.all(
          [one.flush(FlushBatch.make(entries)), other.flush(FlushBatch.make(entries.toReversed()))],
          { concurrency: "unbounded" }
        )
        for (const { deferred = [], missing, written } of reports) {
          assert.strictEqual(written.length + deferred.length, ids.length)
          assert.deepStrictEqual(missing, [])
        }
        const rows = yield* Effect.promise(() => world.query("SELECT DISTINCT lastActiveAt FROM Device"))
        assert.deepStrictEqual(
          rows.map((row) => row["lastActiveAt"]),
          [round],
          "each row by at least one of the two"
        )
      }
    })
  )

  it.scoped("takes numbers for ids, and times and states that are absent", () =>
    Effect.gen(function* () {
      const world = yield* makeMysql(
        "CREATE TABLE Device (id BIGINT PRIMARY KEY, accountId VARCHAR(20), active TINYINT, lastActiveAt DATETIME(3))"
      )
      yield* Effect.promise(() => world.query("INSERT INTO Device VALUES (7, 'a', NULL, NULL)"))
      const storage = yield* open(world.url, devices)
      const entry = entryOf("7", 1_800_000_000_123)
      const strangers = ["07", "seven", "7\u0000"].map((id) => ({ ...entry, id }))
      const report = yield* storage.flush(FlushBatch.make([...strangers, entry, { ...entry, accountId: "A" }]))
      assert.deepStrictEqual(report.written, [entry])
      assert.strictEqual(report.missing.length, strangers.length + 1)
      const key = { kind: "device", accountId: "a", id: "7" }
      assert.deepStrictEqual(yield* storage.markOffline([key], { firstMillis: 0, lastMillis: 1 }), [
        { key, lastSeenMillis: 1_800_000_000_123 }
      ])
    })
  )

  it.scoped("says what does not fit in the words of the host", () =>
    Effect.gen(function* () {
      const good = MysqlTables.ddl(devices)
      const problemOf = (ddl: string, kinds: PresenceKinds) =>
        Effect.gen(function* () {
          const { url } = yield* makeMysql(ddl)
          return yield* Effect.match(open(url, kinds), { onFailure: String, onSuccess: () => "it fits" })
        })
      assert.include(yield* problemOf(good, { phone: {} }), 'phone.table: there is no table "phone", only "Device"')
      assert.include(
        yield* problemOf(good, { device: { ...devices.device, id: "lastActiveAt" } }),
        'device.id: no index of "Device" begins with'
      )
      assert.include(
        yield* problemOf(good.replace("BIGINT NOT NULL DEFAULT 0", "TEXT"), devices),
        'device.lastActiveAt: the column "lastActiveAt" of "Device" is text; bigint with epoch milliseconds, or a'
      )
    })
  )
})
