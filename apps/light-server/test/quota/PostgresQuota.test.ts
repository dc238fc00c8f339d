/**
 * Goal: the totals of an account are exact and its limits hold whatever writes at the same time: connections of one
 * server, several servers, other programs.
 * Method: two servers over one schema, and sessions with transactions that stay open where it matters.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Client } from "pg"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import { Writer } from "presence-effect/writer/Writer"
import { until } from "proving/drivers/Eventually"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as PostgresMigrator from "../../src/postgres/PostgresMigrator.ts"
import * as AccountWriter from "../../src/quota/AccountWriter.ts"
import type { Limits } from "../../src/quota/QuotaKnobs.ts"
import * as QuotaTriggers from "../../src/quota/QuotaTriggers.ts"
import * as Recount from "../../src/quota/Recount.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"
import { definitions } from "./postgresTriggers.ts"
import * as Stores from "./QuotaStores.ts"

const ample = { bytes: 1e9, rows: 1e6 }

/** One more server beside others. */
const serve = (limits?: Limits) =>
  Effect.flatMap(PostgresWorld.PostgresWorld, ({ address }) =>
    Layer.build(Stores.stores.pipe(Layer.provideMerge(PostgresWorld.openedLayer(address, { limits, isAlone: false }))))
  )

type Server = Effect.Effect.Success<ReturnType<typeof serve>>

const totals = (server: Server, accountId: string) =>
  Effect.gen(function* () {
    const { query } = yield* PostgresWorld.PostgresWorld
    const [kept] = yield* query(
      `SELECT "byteCount"::int AS "bytes", "rowCount"::int AS "rows" FROM "PresenceAccountUsage"
       WHERE "accountId" = $1`,
      [accountId]
    )
    const { bytes, rows } = yield* Effect.provide(
      Recount.sum(yield* Effect.provide(DatabaseReader, server), accountId),
      server
    )
    return { kept, counted: { bytes, rows } }
  })

const assertExact = (server: Server, accountId: string) =>
  Effect.map(totals(server, accountId), ({ counted, kept }) => assert.deepStrictEqual(kept, counted))

const untilExact = (server: Server, accountId: string) =>
  Effect.flatMap(Effect.context<PostgresWorld.PostgresWorld>(), (context) =>
    until(
      Effect.provide(totals(server, accountId), context),
      ({ counted, kept }) => JSON.stringify(kept) === JSON.stringify(counted)
    )
  )

const ask = (client: Client, sql: string, ...params: ReadonlyArray<unknown>) =>
  Effect.promise(async () => (await client.query(sql, [...params])).rows as ReadonlyArray<Record<string, any>>)

const insertMessage = `INSERT INTO "SessionMessage" ("id", "sessionId", "seq", "content", "createdAt", "updatedAt")
  VALUES ($1, 's1', 1, 'sealed', 1, 1)`

/** Waits until another session waits for one of these. */
const untilWaitedFor = (clients: ReadonlyArray<Client>) =>
  Effect.gen(function* () {
    const { query } = yield* PostgresWorld.PostgresWorld
    const pids: Array<number> = []
    for (const client of clients)
      pids.push(...(yield* ask(client, "SELECT pg_backend_pid() AS pid")).map(({ pid }) => pid))
    const select = "SELECT 1 FROM pg_stat_activity WHERE pg_blocking_pids(pid) && $1::int[]"
    yield* until(query(select, [pids]), (rows) => rows.length > 0)
  })

const draw = (count: number) => Array.from({ length: count }, (_, index) => index)

describe("the triggers in the migrations for PostgreSQL", () => {
  it("are those of the tables that count", () => {
    const directory = PostgresMigrator.bundledDir
    const migrations = fs
      .readdirSync(directory)
      .filter((name) => name !== "migration_lock.toml")
      .map((name) => fs.readFileSync(path.join(directory, name, "migration.sql"), "utf8"))
      .join("\n")
    // What is missing needs one more migration: those that were released must not change.
    for (const definition of definitions) assert.include(migrations, definition)
  })
})

PostgresWorld.describePostgres("the quota on PostgreSQL", () => {
  it.live("lets writers of several servers store as much as the account may, and no more", () =>
    Effect.gen(function* () {
      const limits = { bytes: 1e6, rows: 40 }
      const servers = [yield* serve(limits), yield* serve(limits)]
      const [one] = servers
      yield* Effect.provide(Effect.zipRight(Stores.openAccount("a1"), Stores.session("a1", "s1", 10)), one!)
      const outcomes = yield* Effect.forEach(
        draw(60),
        (index) => Effect.provide(Stores.refusalOf(Stores.message("a1", "s1", 9)), servers[index % 2]!),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(
        outcomes.filter((outcome) => outcome === undefined),
        limits.rows - 1
      )
      assert.lengthOf(
        outcomes.filter((outcome) => outcome === "rows"),
        60 - limits.rows + 1
      )
      yield* assertExact(one!, "a1")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("refuses by the limits of the server that writes, and counts at each, also at one without", () =>
    Effect.gen(function* () {
      const [large, small, none] = [yield* serve(ample), yield* serve({ bytes: 1e6, rows: 3 }), yield* serve()]
      yield* Effect.provide(Effect.zipRight(Stores.openAccount("a1"), Stores.session("a1", "s1", 10)), none)
      for (const server of [none, large, none]) yield* Effect.provide(Stores.message("a1", "s1", 9), server)
      yield* assertExact(none, "a1")
      assert.strictEqual(yield* Effect.provide(Stores.refusalOf(Stores.message("a1", "s1", 9)), small), "rows")
      for (const server of [none, large]) yield* Effect.provide(Stores.message("a1", "s1", 9), server)
      yield* untilExact(none, "a1")
      assert.deepInclude((yield* totals(none, "a1")).kept, { rows: 6 })
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("counts an account whose rows come and go while its count begins", () =>
    Effect.gen(function* () {
      const { connect } = yield* PostgresWorld.PostgresWorld
      yield* PostgresWorld.addTwoSessions
      const server = yield* serve(ample)
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* query(`DELETE FROM "PresenceAccountUsage"`)
      yield* query(insertMessage, ["m0"])
      const [adding, removing] = [yield* connect, yield* connect]
      for (const client of [adding, removing]) yield* ask(client, "BEGIN")
      for (const id of ["m1", "m2", "m3"]) yield* ask(adding, insertMessage, id)
      yield* ask(removing, `DELETE FROM "SessionMessage" WHERE "id" = 'm0'`)
      const [reader, writer] = yield* Effect.provide(Effect.all([DatabaseReader, Writer]), server)
      const count = yield* Effect.fork(Recount.run(reader, writer, "a1"))
      yield* Effect.raceFirst(untilWaitedFor([adding, removing]), Fiber.join(count))
      for (const client of [adding, removing]) yield* ask(client, "COMMIT")
      yield* Fiber.join(count)
      yield* assertExact(server, "a1")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("counts for an account at two servers at once, and corrects its totals once", () =>
    Effect.gen(function* () {
      yield* PostgresWorld.addTwoSessions
      const servers = [yield* serve(ample), yield* serve(ample)]
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* query(`UPDATE "PresenceAccountUsage" SET "byteCount" = 1e6, "rowCount" = -5`)
      yield* Effect.forEach(
        draw(6),
        (index) =>
          Effect.gen(function* () {
            yield* Effect.provide(Stores.message("a1", "s1", 9), servers[index % 2]!)
            const [reader, writer] = yield* Effect.all([DatabaseReader, Writer])
            // One that is overtaken three times in a row gives up.
            yield* Effect.retry(Recount.run(reader, writer, "a1"), { times: 5 })
          }).pipe(Effect.provide(servers[index % 2]!)),
        { concurrency: "unbounded" }
      )
      yield* assertExact(servers[0]!, "a1")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("never lets groups of writes wait for each other in a circle", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const servers = [yield* serve(ample), yield* serve(ample)]
      for (const account of ["a1", "a2"]) {
        yield* Effect.provide(
          Effect.zipRight(Stores.openAccount(account), Stores.session(account, `s${account}`, 10)),
          servers[0]!
        )
      }
      const writes = (index: number) => {
        const [account, key] = [`a${1 + (index % 2)}`, `k${index % 3}`]
        return [
          Stores.report(account, key, undefined, index),
          Stores.pushToken(account, key),
          Stores.message(account, `s${account}`, index),
          Stores.vendorToken(account, index)
        ]
      }
      yield* Effect.forEach(
        draw(60),
        (index) => Effect.provide(Effect.all(writes(index), { concurrency: "unbounded" }), servers[index % 2]!),
        { concurrency: "unbounded" }
      )
      for (const account of ["a1", "a2"]) yield* untilExact(servers[0]!, account)
      yield* query("SELECT pg_stat_force_next_flush()")
      const [found] = yield* query(`SELECT "deadlocks"::int FROM pg_stat_database WHERE datname = current_database()`)
      assert.deepStrictEqual(found, { deadlocks: 0 })
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migratedDatabase))
  )

  it.live("counts the statements of a write without the lock before them", () =>
    Effect.gen(function* () {
      const server = yield* serve(ample)
      yield* Effect.provide(Stores.openAccount("a1"), server)
      const { write } = yield* Effect.provide(AccountWriter.make, server)
      const upTo = (changes: number) =>
        Write.zip(
          Write.statement(`UPDATE "Account" SET "settings" = ? WHERE "id" = 'a1'`, ["s"], { changes: 1 }),
          Write.statement(`DELETE FROM "AccountPushToken"`, [], { changes })
        )
      const conflict = yield* Effect.flip(write("a1", Lane.data, upTo(1)))
      assert.deepInclude(conflict, { _tag: "WriteConflict", statement: 1, expected: 1, changed: 0 })
      assert.deepStrictEqual(
        (yield* write("a1", Lane.data, upTo(0))).map(({ changes }) => changes),
        [1, 0]
      )
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("counts what other programs write, deletes of several accounts included", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const server = yield* serve(ample)
      for (const account of ["a1", "a2"]) {
        yield* Effect.provide(
          Effect.zipRight(Stores.openAccount(account), Stores.session(account, `s${account}`, 10)),
          server
        )
        yield* Effect.provide(Stores.messages(account, `s${account}`, 30), server)
        yield* Effect.provide(Stores.value(account, "k", 70_000, -1), server)
      }
      yield* query(`UPDATE "SessionMessage" SET "content" = repeat('x', 100000) WHERE "seq" < 5`)
      yield* query(
        `UPDATE "SessionMessage" SET "sessionId" = 'sa2', "seq" = 99 WHERE "sessionId" = 'sa1' AND "seq" = 7`
      )
      for (const account of ["a1", "a2"]) yield* assertExact(server, account)
      yield* query(`DELETE FROM "SessionMessage" WHERE "seq" % 2 = 0`)
      for (const account of ["a1", "a2"]) yield* assertExact(server, account)
      // What refers to an account is deleted with it, its totals too.
      yield* query(`DELETE FROM "SessionMessage" WHERE "sessionId" = 'sa1'`)
      yield* query(`DELETE FROM "AccountChange" WHERE "accountId" = 'a1'`)
      yield* query(`DELETE FROM "Session" WHERE "id" = 'sa1'`)
      yield* query(`DELETE FROM "Account" WHERE "id" = 'a1'`)
      assert.deepStrictEqual((yield* totals(server, "a1")).kept, undefined)
      yield* assertExact(server, "a2")
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )

  it.live("runs no trigger for signs of life, and none at all in a server alone without a quota", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* PostgresWorld.addTwoSessions
      const triggersOf = (sql: string) =>
        Effect.map(query(`EXPLAIN (ANALYZE, TIMING OFF) ${sql}`), (lines) =>
          lines.map((line) => String(line["QUERY PLAN"])).filter((line) => line.includes("presence_quota"))
        )
      const beat = `UPDATE "Session" SET "active" = TRUE, "lastActiveAt" = 9, "servedBy" = 'r'`
      const seq = `UPDATE "Account" SET "seq" = "seq" + 1`
      const insert = insertMessage.replace("$1", `'m' || nextval('pg_temp.numbers')`)
      const remove = `DELETE FROM "SessionMessage"`
      yield* query("CREATE TEMP SEQUENCE numbers")
      assert.lengthOf(yield* triggersOf(insert), 1)
      assert.lengthOf(yield* triggersOf(`UPDATE "Session" SET "metadata" = 'changed'`), 1)
      assert.lengthOf(yield* triggersOf(remove), 1)
      for (const sql of [beat, seq]) assert.deepStrictEqual(yield* triggersOf(sql), [])
      const [off] = QuotaTriggers.sessionSetup(undefined, true)
      yield* query(off ?? "")
      for (const sql of [insert, remove, beat]) assert.deepStrictEqual(yield* triggersOf(sql), [])
      assert.deepStrictEqual(QuotaTriggers.sessionSetup(undefined, false), [])
    }).pipe(Effect.scoped, Effect.provide(PostgresWorld.migrated))
  )
})
