/**
 * What an account used over time: sums by hour and by day.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { sqlite } from "../../src/database/Dialect.ts"
import { sumsOf } from "../../src/usage/UsageStore.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { authorized, layerWith, TestServer } from "../support/TestServer.ts"

/** 2026-02-01T00:00:00Z */
const midnight = 1_769_904_000
const hour = 3600

interface Stored {
  readonly accountId?: string
  readonly sessionId?: string | null
  /** Seconds, or the text that another server stored. */
  readonly at: number | string
  readonly data?: unknown
}

const amounts = (tokens: number, cost: number) => ({ tokens: { total: tokens, input: tokens }, cost: { total: cost } })

const store = (reports: ReadonlyArray<Stored>) =>
  Effect.map(TestDatabase, (database) => {
    for (const [accountId, sessionId] of [
      ["a1", "s1"],
      ["a1", "s2"],
      ["a2", "s9"]
    ] as const) {
      if (database.query(`SELECT 1 FROM "Account" WHERE "id" = ?`, accountId).length === 0) {
        database.addAccount(accountId)
      }
      database.sqlite
        .prepare(
          `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
           VALUES (?, ?, ?, 'sealed', 5, 5, 5)`
        )
        .run(sessionId, sessionId, accountId)
    }
    const insert = database.sqlite.prepare(`INSERT INTO "UsageReport" VALUES (?, ?, ?, ?, ?, ?, 1)`)
    database.sqlite.transaction(() => {
      for (const [index, { accountId = "a1", sessionId = "s1", at, data = amounts(1, 0.5) }] of reports.entries()) {
        const createdAt = typeof at === "number" ? at * 1000 : at
        const text = typeof data === "string" ? data : JSON.stringify(data)
        insert.run(`r${index}`, `key ${index}`, accountId, sessionId, text, createdAt)
      }
    })()
    database.readCount = 0
    return database
  })

const query = (payload: object, accountId = "a1") =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "POST", url: "/v1/usage/query", headers: authorized(accountId), payload })
  )

describe("POST /v1/usage/query", () => {
  const three: ReadonlyArray<Stored> = [
    { at: midnight + 1, data: amounts(1, 0.5) },
    { at: midnight + hour + 5, sessionId: "s2", data: amounts(2, 0.25) },
    { at: midnight + hour + 9, sessionId: null, data: amounts(4, 0.125) },
    { at: midnight + 24 * hour, data: amounts(8, 1) },
    { at: midnight, accountId: "a2", sessionId: "s9", data: amounts(1000, 1000) }
  ]

  it.scoped("sums up by day unless asked otherwise, the oldest first, of the account only", () =>
    Effect.gen(function* () {
      const database = yield* store(three)
      const response = yield* query({})
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), {
        usage: [
          { timestamp: midnight, tokens: { total: 7, input: 7 }, cost: { total: 0.875 }, reportCount: 3 },
          { timestamp: midnight + 24 * hour, tokens: { total: 8, input: 8 }, cost: { total: 1 }, reportCount: 1 }
        ],
        groupBy: "day",
        totalReports: 4
      })
      assert.deepStrictEqual([database.writes, database.readCount], [[], 1])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("sums up by hour", () =>
    Effect.gen(function* () {
      yield* store(three)
      const body = (yield* query({ groupBy: "hour" })).json<{
        readonly usage: ReadonlyArray<{ readonly timestamp: number; readonly reportCount: number }>
      }>()
      assert.deepStrictEqual(
        body.usage.map(({ reportCount, timestamp }) => [timestamp, reportCount]),
        [
          [midnight, 1],
          [midnight + hour, 2],
          [midnight + 24 * hour, 1]
        ]
      )
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [what, range, count] of [
    ["from a second on, that second included", { startTime: midnight + hour + 5 }, 3],
    ["up to a second, that second included", { endTime: midnight + hour + 5 }, 2],
    ["between two", { startTime: midnight + 2, endTime: midnight + hour + 5 }, 1],
    ["in no time at all", { startTime: midnight + 10, endTime: midnight + 9 }, 0],
    ["of one session", { sessionId: "s1" }, 2],
    ["of one session in a time", { sessionId: "s1", startTime: midnight + hour }, 1],
    ["at all, when nothing is asked for explicitly", { sessionId: null, startTime: null, endTime: null }, 4]
  ] as const) {
    it.scoped(`counts what was reported ${what}`, () =>
      Effect.gen(function* () {
        yield* store(three)
        const response = yield* query(range)
        assert.strictEqual(response.statusCode, 200)
        assert.strictEqual(response.json<{ totalReports: number }>().totalReports, count)
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("returns an empty list for an account without reports", () =>
    Effect.gen(function* () {
      yield* store([])
      assert.deepStrictEqual((yield* query({})).json(), { usage: [], groupBy: "day", totalReports: 0 })
    }).pipe(Effect.provide(layerWith()))
  )

  for (const sessionId of ["s9", "nowhere"]) {
    it.scoped(`answers 404 about the session ${sessionId}, which is not of the account`, () =>
      Effect.gen(function* () {
        yield* store(three)
        const response = yield* query({ sessionId })
        assert.strictEqual(response.statusCode, 404)
        assert.deepStrictEqual(response.json(), { error: "Session not found" })
      }).pipe(Effect.provide(layerWith()))
    )
  }

  for (const payload of [
    { groupBy: "week" },
    { startTime: "yesterday" },
    { endTime: -1 },
    { startTime: 1e300 },
    { sessionId: 5 },
    { sessionId: "s".repeat(200) }
  ]) {
    it.scoped(`answers 400 to ${JSON.stringify(payload).slice(0, 40)}`, () =>
      Effect.gen(function* () {
        yield* store([])
        const response = yield* query(payload)
        assert.strictEqual(response.statusCode, 400)
        assert.strictEqual(response.json<{ error: string }>().error, "Error")
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("requires a token", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      assert.strictEqual((yield* inject({ method: "POST", url: "/v1/usage/query", payload: {} })).statusCode, 401)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("reads times that another server stored as text", () =>
    Effect.gen(function* () {
      yield* store([{ at: "2026-02-01T01:00:00.000+00:00" }, { at: "2026-02-01 01:30:00" }, { at: midnight + hour }])
      const { usage } = (yield* query({ groupBy: "hour", startTime: midnight + hour })).json<{
        readonly usage: ReadonlyArray<unknown>
      }>()
      assert.deepStrictEqual(usage, [
        { timestamp: midnight + hour, tokens: { total: 3, input: 3 }, cost: { total: 1.5 }, reportCount: 3 }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("ignores values that are not numbers, and accepts names that every object has", () =>
    Effect.gen(function* () {
      yield* store([
        { at: midnight, data: { tokens: { total: 1, note: "x", deep: { a: 1 } }, cost: null } },
        { at: midnight, data: { tokens: 7, cost: [8] } },
        { at: midnight, data: [9] },
        {
          at: midnight,
          data: `{"tokens":{"total":2,"__proto__":5,"constructor":1},"cost":{"total":3},"else":{"a":1}}`
        },
        { at: midnight, data: "damaged {" }
      ])
      const response = yield* query({})
      assert.strictEqual(
        response.body,
        `{"usage":[{"timestamp":${midnight},"tokens":{"__proto__":5,"constructor":1,"total":3},` +
          `"cost":{"total":3},"reportCount":4}],"groupBy":"day","totalReports":4}`
      )
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("is one statement over the newest reports, however many there are", () =>
    Effect.gen(function* () {
      const database = yield* store(
        Array.from({ length: 6000 }, (_, index) => ({ at: midnight + index * 60, sessionId: null }))
      )
      const response = yield* query({ groupBy: "hour" })
      const body = response.json<{
        readonly totalReports: number
        readonly usage: ReadonlyArray<{ readonly timestamp: number }>
      }>()
      assert.strictEqual(body.totalReports, 5000)
      assert.strictEqual(body.usage.at(-1)?.timestamp, midnight + 99 * hour)
      assert.strictEqual(database.readCount, 1)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("reports whether there are more reports than it sums up", () =>
    Effect.gen(function* () {
      const database = yield* store(
        Array.from({ length: 5001 }, (_, index) => ({ at: midnight + index, sessionId: null }))
      )
      const cut = yield* query({})
      assert.strictEqual(cut.headers["x-list-cut"], "reports")
      assert.strictEqual(cut.json<{ readonly totalReports: number }>().totalReports, 5000)
      database.sqlite.exec(`DELETE FROM "UsageReport" WHERE "id" = 'r0'`)
      const whole = yield* query({})
      assert.notProperty(whole.headers, "x-list-cut")
      assert.strictEqual(whole.json<{ readonly totalReports: number }>().totalReports, 5000)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("sums stored values, however large: sums neither overflow nor lose their numbers", () =>
    Effect.gen(function* () {
      yield* store([
        { at: midnight, data: `{"tokens":{"total":9000000000000000000},"cost":{"total":1e308}}` },
        { at: midnight, data: `{"tokens":{"total":9000000000000000000},"cost":{"total":1e308}}` },
        { at: midnight, data: `{"tokens":{"total":1,"odd":-1e999},"cost":{"total":1e308,"odd":1e999}}` },
        { at: midnight, data: `{"tokens":{"both":1e999},"cost":{}}` },
        { at: midnight, data: `{"tokens":{"both":-1e999},"cost":{}}` }
      ])
      const response = yield* query({})
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json<{ readonly usage: ReadonlyArray<unknown> }>().usage, [
        {
          timestamp: midnight,
          tokens: { both: 0, odd: -Number.MAX_VALUE, total: 1.8e19 },
          cost: { odd: Number.MAX_VALUE, total: Number.MAX_VALUE },
          reportCount: 5
        }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("returns no more than 1000 names of a period", () =>
    Effect.gen(function* () {
      const names = (from: number) =>
        Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`n${String(from + index).padStart(4, "0")}`, 1]))
      yield* store([0, 600].map((from) => ({ at: midnight, data: { tokens: names(from), cost: { total: 0.1 } } })))
      const { usage } = (yield* query({})).json<{ readonly usage: ReadonlyArray<{ readonly tokens: object }> }>()
      const shown = Object.keys(usage[0]?.tokens ?? {})
      assert.deepStrictEqual([shown.length, shown[0], shown.at(-1)], [1000, "n0000", "n0999"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("finds its reports along indexes, also with statistics from when there were few", () =>
    Effect.gen(function* () {
      const database = yield* store([{ at: midnight }])
      database.sqlite.exec("ANALYZE")
      for (const [kind, index] of [
        ["all", "presence_UsageReport_accountId_createdAt_idx"],
        ["ofSession", "presence_UsageReport_sessionId_createdAt_idx"]
      ] as const) {
        const sql = sumsOf(sqlite)[kind].day
        const params = Array.from(sql.matchAll(/\?/g), () => 1)
        const plan = database.query(`EXPLAIN QUERY PLAN ${sql}`, ...params).map(({ detail }) => String(detail))
        const searches = plan.filter((detail) => /^SEARCH UsageReport USING (COVERING )?INDEX presence_/.test(detail))
        assert.lengthOf(searches, 2, plan.join("\n"))
        for (const search of searches) assert.include(search, index)
        assert.notMatch(plan.join("\n"), /SCAN UsageReport/)
      }
    }).pipe(Effect.provide(layerWith()))
  )
})
