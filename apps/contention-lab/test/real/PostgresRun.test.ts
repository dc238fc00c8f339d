/**
 * Goal: on PostgreSQL too every strategy writes what the report says it wrote, and its schema is gone afterwards.
 * Method: two seconds of each in a schema of a real server, then the rows of that schema.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Client } from "pg"
import * as PostgresSchema from "../../src/postgres/PostgresSchema.ts"
import * as RealRun from "../../src/RealRun.ts"
import type { Scenario } from "../../src/Scenario.ts"
import { entryOf, needsProcess, strategyNames } from "../../src/strategies/Catalogue.ts"
import { postgresUrl } from "./postgresUrl.ts"

const scenario: Omit<Scenario, "strategy"> = {
  sessionCount: 12,
  database: "postgres",
  connections: 3,
  seconds: 2,
  seed: 3,
  disk: "real",
  hasForeignLock: false,
  roundTripMillis: 1,
  flushIntervalMillis: 250,
  rows: "together"
}

const server = { url: postgresUrl ?? "" }

const rowsOf = (url: string, sql: string): Effect.Effect<ReadonlyArray<{ readonly value: unknown }>> =>
  Effect.promise(async () => {
    const client = new Client({ connectionString: url })
    await client.connect()
    try {
      return (await client.query<{ readonly value: unknown }>(sql)).rows
    } finally {
      await client.end()
    }
  })

const count = (url: string, sql: string) => Effect.map(rowsOf(url, sql), ([row]) => Number(row?.value))

const schemaCount = (url: string, schema: string) =>
  count(url, `SELECT count(*) AS value FROM pg_namespace WHERE nspname = '${schema}'`)

describe.skipIf(postgresUrl === undefined)("RealRun on PostgreSQL", () => {
  it.scopedLive.each(strategyNames.filter((name) => !needsProcess(name)))(
    "%s writes what it says",
    (strategy) =>
      Effect.gen(function* () {
        const url = yield* PostgresSchema.make(server, scenario)
        const beganAt = Date.now()
        const figures = yield* Effect.scoped(Effect.flatten(RealRun.prepare({ ...scenario, strategy }, url)))
        assert.isAbove(figures.registration.count, 0)
        assert.strictEqual(figures.evidence.acknowledgedMissingCount, 0)
        const registered = yield* count(url, `SELECT count(*) AS value FROM "Machine" WHERE "id" LIKE 'new-%'`)
        const answered = figures.registrations.filter(({ isAnswered }) => isAnswered).length
        assert.isAtLeast(registered, answered)
        assert.isAbove(answered, 0)
        assert.strictEqual(
          figures.evidence.messageCount,
          yield* count(url, `SELECT count(*) AS value FROM "SessionMessage"`)
        )
        assert.isAbove(figures.evidence.messageCount, 0)
        // All rows that beat, machines too, with a time from the run.
        assert.isAbove(figures.flush.writtenCount, 0)
        const current = `"active" AND "lastActiveAt" > ${beganAt}`
        assert.strictEqual(yield* count(url, `SELECT count(*) AS value FROM "Session" WHERE ${current}`), 12)
        assert.strictEqual(
          yield* count(url, `SELECT count(*) AS value FROM "Machine" WHERE "id" NOT LIKE 'new-%' AND ${current}`),
          3
        )
        // The feed numbers every change, without a gap.
        const cursor = yield* count(url, `SELECT "seq" AS value FROM "Account"`)
        const moved = yield* count(url, `SELECT sum("seq") AS value FROM "Session"`)
        assert.strictEqual(cursor, registered + moved)
        assert.isAbove(figures.heldShare, 0)
        assert.isBelow(figures.heldShare, 1)
        const crosses = entryOf(strategy, "postgres").place === "behind round trips" && !strategy.startsWith("presence")
        assert.strictEqual(figures.crossingMeanMillis !== undefined, crosses)
        // A crossing is as long as it was asked for, or longer.
        if (crosses) assert.isAtLeast(figures.crossingMeanMillis ?? 0, scenario.roundTripMillis)
      }),
    60_000
  )

  it.scopedLive(
    "keeps registering while another process has locked the rows of all sessions, on a slow disk",
    () =>
      Effect.gen(function* () {
        const hard = { ...scenario, seconds: 4, disk: "slow", hasForeignLock: true } as const
        const url = yield* PostgresSchema.make(server, hard)
        const syncs = yield* rowsOf(url, `SELECT current_setting('fsync') AS value`)
        const figures = yield* Effect.scoped(
          Effect.flatten(RealRun.prepare({ ...hard, strategy: "presence-effect" }, url))
        )
        assert.strictEqual(figures.evidence.acknowledgedMissingCount, 0)
        assert.strictEqual(figures.registration.missedCount, 0)
        // What is slow in every commit is slow in the median too. A server of tests may not wait for its disk.
        if (syncs[0]?.value === "on") assert.isAtLeast(figures.registration.p50Millis, 20)
        // A flush that finds its rows locked ends, with fewer of them.
        assert.isBelow(figures.flush.writtenCount, figures.flush.rowCount)
      }),
    60_000
  )

  it.scopedLive("drops its schema while another connection still uses it", () =>
    Effect.gen(function* () {
      const schema = yield* Effect.scoped(
        Effect.gen(function* () {
          const url = yield* PostgresSchema.make(server, scenario)
          const schema = PostgresSchema.nameOf(url)
          assert.strictEqual(yield* schemaCount(url, schema), 1)
          const left = new Client({ connectionString: url })
          left.on("error", () => undefined)
          yield* Effect.promise(async () => {
            await left.connect()
            await left.query(`CREATE TABLE "Held" (id INT); BEGIN; LOCK TABLE "Held" IN ACCESS EXCLUSIVE MODE`)
          })
          return schema
        })
      )
      assert.strictEqual(yield* schemaCount(server.url, schema), 0)
    })
  )
})
