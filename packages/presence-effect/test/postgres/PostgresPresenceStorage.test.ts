import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestServices from "effect/TestServices"
import { describe } from "vitest"
import type { FlushEntry } from "../../src/presence/FlushBatch.ts"
import * as FlushBatch from "../../src/presence/FlushBatch.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import * as PostgresEngine from "../../src/postgres/PostgresEngine.ts"
import * as PostgresPresenceStorage from "../../src/postgres/PostgresPresenceStorage.ts"
import * as PostgresReader from "../../src/postgres/PostgresReader.ts"
import * as PostgresTables from "../../src/postgres/PostgresTables.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import * as Writer from "../../src/writer/Writer.ts"
import { describePostgres, makeOwnPostgres, makePostgres, type PostgresWorld } from "../support/postgresWorld.ts"

const hour = 3_600_000
const devices = { device: { table: "Device", accountId: "accountId" } } as const

/** The storage, closed with the scope of the test. */
const open = (url: string, kinds: PresenceKinds, chunkRows = 60) =>
  Effect.map(
    Layer.build(
      PostgresPresenceStorage.layer({ kinds, chunkRows }).pipe(
        Layer.provide(Writer.layer()),
        Layer.provide(PostgresEngine.layer({ url })),
        Layer.provide(PostgresReader.layer({ url }))
      )
    ),
    Context.get(PresenceStorage)
  )

/** How the tables of a host write what the contract inserts. */
interface Form {
  readonly ddl: string
  readonly active: (active: boolean) => unknown
  readonly time: string
  readonly millis: string
}

const ofLibrary: Form = {
  ddl: PostgresTables.ddl(PresenceStorageContract.kinds),
  active: (active) => active,
  time: "$3::bigint",
  millis: `"lastActiveAt"`
}

const prismaTable = (table: string, columns: string, key: string) => `
  CREATE TABLE "${table}" ("id" TEXT NOT NULL, ${columns} "active" SMALLINT NOT NULL DEFAULT 1,
    "lastActiveAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (${key}));`

const ofPrisma: Form = {
  ddl: [
    prismaTable("Session", `"accountId" VARCHAR(191) NOT NULL,`, `"id"`),
    prismaTable("Machine", `"accountId" VARCHAR(191) NOT NULL,`, `"id"`),
    prismaTable("user-sensors", "", `"id"`),
    prismaTable("Laptop", `"accountId" VARCHAR(191) NOT NULL,`, `"accountId", "id"`)
  ].join("\n"),
  active: (active) => (active ? 1 : 0),
  time: "to_timestamp($3::float8 / 1000) AT TIME ZONE 'UTC'",
  millis: `extract(epoch FROM "lastActiveAt") * 1000`
}

/** What a language sorts and compares by is not what a key is. */
const ofLanguage: Form = {
  ddl: `CREATE COLLATION "any case" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    ${PostgresTables.ddl(PresenceStorageContract.kinds).replaceAll('COLLATE "C"', 'COLLATE "any case"')}`,
  active: ofLibrary.active,
  time: ofLibrary.time,
  millis: ofLibrary.millis
}

const worldOf = (form: Form) =>
  Effect.gen(function* () {
    const { query, url } = yield* makePostgres(form.ddl)
    const storage = yield* open(url, PresenceStorageContract.kinds)
    const tableOf = (kind: PresenceStorageContract.ContractKind) => PresenceStorageContract.kinds[kind].table
    const world: PresenceStorageContract.World = {
      storage,
      chunkRows: 60,
      insert: async (kind, id, accountId, { active, lastActiveMillis }) => {
        const hasAccount = kind !== "sensor"
        await query(
          `INSERT INTO "${tableOf(kind)}" (id, active, "lastActiveAt"${hasAccount ? `, "accountId"` : ""})
           VALUES ($1, $2, ${form.time}${hasAccount ? ", $4" : ""})`,
          [id, form.active(active), lastActiveMillis, ...(hasAccount ? [accountId] : [])]
        )
      },
      read: async (kind, id, accountId = "a") => {
        const [row] = await query(
          `SELECT active::int AS active, (${form.millis})::float8 AS millis FROM "${tableOf(kind)}"
           WHERE id COLLATE "C" = $1 AND ${kind === "laptop" ? `"accountId"` : "'a'"} = $2`,
          [id, kind === "laptop" ? accountId : "a"]
        )
        return row && { active: row["active"] === 1, lastActiveMillis: Number(row["millis"]) }
      }
    }
    return world
  })

describePostgres("PostgreSQL", () => {
  for (const [name, form] of Object.entries({
    "PostgreSQL, tables of the library": ofLibrary,
    "PostgreSQL, tables of Prisma": ofPrisma,
    "PostgreSQL, keys in a collation without case": ofLanguage
  })) {
    PresenceStorageContract.suite({ describe, it }, name, worldOf(form))
  }
})

const alive = (id: string, seenAtMillis: number): FlushEntry => ({
  kind: "device",
  id,
  accountId: "a",
  seenAtMillis,
  state: "alive"
})

const insertDevices = async ({ query }: Pick<PostgresWorld, "query">, ids: ReadonlyArray<string>) => {
  await query(`INSERT INTO "Device" (id, "accountId") SELECT unnest($1::text[]), 'a'`, [ids])
}

describePostgres("PostgresPresenceStorage", () => {
  it.scoped("defers the row that another transaction holds, and neither waits for it nor takes it for missing", () =>
    Effect.gen(function* () {
      const world = yield* makePostgres(PostgresTables.ddl(devices))
      yield* Effect.promise(() => insertDevices(world, ["free", "held", "deleted"]))
      const storage = yield* open(world.url, devices)
      const foreign = yield* Effect.promise(world.connect)
      yield* Effect.promise(() => foreign.query(`BEGIN; UPDATE "Device" SET active = false WHERE id = 'held'`))
      yield* Effect.promise(() => foreign.query(`DELETE FROM "Device" WHERE id = 'deleted'`))
      const [free, held, deleted, nowhere] = [
        alive("free", 5),
        alive("held", 5),
        alive("deleted", 5),
        alive("nowhere", 5)
      ]
      const report = yield* storage.flush(FlushBatch.make([free, held, deleted, nowhere]))
      assert.deepStrictEqual(report, {
        written: [free],
        superseded: [],
        missing: [nowhere],
        deferred: [held, deleted],
        chunkCount: 1
      })
      // What a sweep meets is left for the next one.
      const key = { kind: "device", id: "free", accountId: "a" }
      yield* Effect.promise(() => foreign.query(`UPDATE "Device" SET "lastActiveAt" = 4 WHERE id = 'free'`))
      const believable = { firstMillis: hour, lastMillis: 2 * hour }
      assert.deepStrictEqual(yield* storage.markOffline([key], believable), [])
      yield* Effect.promise(() => foreign.query("COMMIT"))
      assert.deepStrictEqual(yield* storage.markOffline([key], believable), [{ key, lastSeenMillis: 4 }])
      const again = yield* storage.flush(FlushBatch.make([held, deleted]))
      assert.deepStrictEqual([again.written, again.missing], [[held], [deleted]])
    })
  )

  it.scoped("writes what another transaction has just left, by its newest values", () =>
    Effect.gen(function* () {
      const world = yield* makePostgres(PostgresTables.ddl(devices))
      yield* Effect.promise(() => insertDevices(world, ["d"]))
      const storage = yield* open(world.url, devices)
      yield* Effect.promise(() => world.query(`UPDATE "Device" SET active = true, "lastActiveAt" = 9`))
      const report = yield* storage.flush(FlushBatch.make([alive("d", 5)]))
      assert.deepStrictEqual(report.written, [{ ...alive("d", 5), storedMillis: 9 }])
    })
  )

  it.scoped("lets two replicas flush the same rows in two orders at once without a deadlock", () =>
    Effect.gen(function* () {
      const world = yield* makePostgres(PostgresTables.ddl(devices))
      const ids = Array.from({ length: 400 }, (_, index) => `d${index}`)
      yield* Effect.promise(() => insertDevices(world, ids))
      const [one, other] = [yield* open(world.url, devices, 400), yield* open(world.url, devices, 400)]
      for (let round = 1; round <= 12; round++) {
        const entries = ids.map((id) => alive(id, round))
        const reports = yield* Effect.all(
          [one.flush(FlushBatch.make(entries)), other.flush(FlushBatch.make(entries.toReversed()))],
          { concurrency: "unbounded" }
        )
        for (const { deferred = [], missing, written } of reports) {
          assert.strictEqual(written.length + deferred.length, ids.length)
          assert.deepStrictEqual(missing, [])
        }
        const rows = yield* Effect.promise(() => world.query(`SELECT DISTINCT "lastActiveAt" FROM "Device"`))
        assert.deepStrictEqual(rows, [{ lastActiveAt: String(round) }], "each row by at least one of the two")
      }
    })
  )

  it.scoped("changes the row in its page and no index, so that a table of heartbeats does not grow", () =>
    Effect.gen(function* () {
      const world = yield* makeOwnPostgres(PostgresTables.ddl(devices))
      const ids = Array.from({ length: 300 }, (_, index) => `d${index}`)
      yield* Effect.promise(() => insertDevices(world, ids))
      // A vacuum that runs meanwhile keeps old rows, and with them the pages of the indexes, for a moment longer.
      yield* Effect.promise(() => world.query(`ALTER TABLE "Device" SET (autovacuum_enabled = false)`))
      const size = Effect.map(
        Effect.promise(() => world.query(`SELECT pg_indexes_size('"Device"')::int AS bytes`)),
        ([row]) => Number(row?.["bytes"])
      )
      // When its connections have ended, the server has counted what they did.
      yield* Effect.scoped(
        Effect.gen(function* () {
          const storage = yield* open(world.url, devices, 300)
          const flush = (round: number) => storage.flush(FlushBatch.make(ids.map((id) => alive(id, round))))
          for (let round = 1; round <= 6; round++) yield* flush(round)
          const sizes = [yield* size]
          for (let round = 7; round <= 20; round++) {
            yield* flush(round)
            sizes.push(yield* size)
          }
          // A snapshot of the server's own, which counts rows for its planner, keeps old rows for a round or two.
          const grownCount = sizes.filter((bytes, index) => index > 0 && bytes > (sizes[index - 1] ?? 0)).length
          assert.isAtMost(grownCount, 3, `bytes of the indexes after each round: ${sizes.join(" ")}`)
        })
      )
      const counts = Effect.promise(() =>
        world.query(
          `SELECT n_tup_upd::int AS "updated", n_tup_hot_upd::int AS "inPage"
           FROM pg_stat_user_tables WHERE relid = '"Device"'::regclass`
        )
      )
      const isCounted = ([row]: ReadonlyArray<Record<string, unknown>>) => Number(row?.["updated"]) >= 20 * ids.length
      const [row] = yield* TestServices.provideLive(
        counts.pipe(Effect.delay("50 millis"), Effect.repeat({ until: isCounted }), Effect.timeout("20 seconds"))
      )
      assert.strictEqual(row?.["updated"], 20 * ids.length)
      assert.isAbove(Number(row?.["inPage"]) / (20 * ids.length), 0.5)
    })
  )

  it.scoped("keeps the time and the state of a row without them", () =>
    Effect.gen(function* () {
      const world = yield* makePostgres(
        `CREATE TABLE "Device" (id BIGINT PRIMARY KEY, "accountId" UUID, active BOOLEAN, "lastActiveAt" TIMESTAMPTZ)`
      )
      const account = "0b6d0cf4-2a45-4f52-9a5e-6a3c2c7c8d10"
      yield* Effect.promise(() => world.query(`INSERT INTO "Device" VALUES (7, $1, NULL, NULL)`, [account]))
      const storage = yield* open(world.url, devices)
      const key = { kind: "device", id: "7", accountId: account }
      const entry: FlushEntry = { ...key, seenAtMillis: 1_800_000_000_123, state: "alive" }
      // Texts that no number and no UUID is written as name no row, and fail no statement.
      const strangers = ["07", "seven", "7\u0000", "99999999999999999999"].map((id): FlushEntry => ({ ...entry, id }))
      const batch = FlushBatch.make([...strangers, entry, { ...entry, accountId: account.toUpperCase() }])
      const report = yield* storage.flush(batch)
      assert.deepStrictEqual(report.written, [entry])
      assert.strictEqual(report.missing.length, strangers.length + 1)
      const changed = yield* storage.markOffline([key], { firstMillis: 0, lastMillis: 1 })
      assert.deepStrictEqual(changed, [{ key, lastSeenMillis: 1_800_000_000_123 }])
    })
  )

  const problemOf = (ddl: string, kinds: PresenceKinds) =>
    Effect.gen(function* () {
      const { url } = yield* makePostgres(ddl)
      const failure = yield* Effect.flip(open(url, kinds))
      return failure.message
    })

  it.scoped("says what does not fit in the words of the host", () =>
    Effect.gen(function* () {
      const good = PostgresTables.ddl(devices)
      assert.include(yield* problemOf(good, { phone: {} }), 'phone.table: there is no table "phone", only "Device"')
      assert.include(
        yield* problemOf(good, { device: { table: "Device", active: "online" } }),
        'device.active: the table "Device" has no column "online", only "id", "accountId", "active", "lastActiveAt"'
      )
      const bare = `CREATE TABLE "Device" (id TEXT, "accountId" TEXT, active BOOLEAN, "lastActiveAt" BIGINT)`
      assert.include(yield* problemOf(bare, devices), 'device.id: no index of "Device" begins with "id"')
      const times = good.replace("BIGINT NOT NULL DEFAULT 0", "TEXT")
      assert.include(
        yield* problemOf(times, devices),
        'device.lastActiveAt: the column "lastActiveAt" of "Device" is text; bigint with epoch milliseconds, or a'
      )
      const wider = good.replace(`PRIMARY KEY ("id")`, `PRIMARY KEY ("accountId", "id")`)
      assert.include(yield* problemOf(wider, devices), 'declare key: ["accountId", "id"]')
    })
  )
})
