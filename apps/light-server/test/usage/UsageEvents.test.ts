import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy, WriteRejected } from "presence-effect/writer/WriterError"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, authorized, layerWith, TestServer, askHeld } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, (database) => {
  for (const [accountId, id] of [
    ["a1", "s1"],
    ["a2", "s2"]
  ] as const) {
    database.addAccount(accountId)
    database.sqlite
      .prepare(
        `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
         VALUES (?, 't', ?, 'sealed', 5, 5, 5)`
      )
      .run(id, accountId)
  }
})

const report = {
  key: "claude-session",
  sessionId: "s1",
  tokens: { total: 3, input: 1, output: 2 },
  cost: { total: 0.5 }
}

const reports = (database: TestDatabase["Type"]) =>
  database.query(`SELECT "key", "accountId", "sessionId", "data" FROM "UsageReport" ORDER BY "sessionId"`)

describe("UsageEvents", () => {
  it.scoped("stores a report, answers with a receipt and announces it to apps", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      const foreign = yield* server.connect(app("a2"))
      const answer = (yield* mine.ask("usage-report", report)) as Record<string, unknown>
      assert.deepStrictEqual(Object.keys(answer).toSorted(), ["createdAt", "reportId", "success", "updatedAt"])
      assert.isTrue(answer["success"])
      assert.match(String(answer["reportId"]), /^c/)
      assert.deepStrictEqual(yield* mine.next("ephemeral"), {
        type: "usage",
        id: "s1",
        key: report.key,
        tokens: report.tokens,
        cost: report.cost,
        timestamp: answer["updatedAt"]
      })
      assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
      assert.deepStrictEqual(reports(database), [
        {
          key: report.key,
          accountId: "a1",
          sessionId: "s1",
          data: JSON.stringify({ tokens: report.tokens, cost: report.cost })
        }
      ])
      assert.deepStrictEqual(database.writes, [Lane.data])
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [what, sessionId] of [
    ["with a session", "s1"],
    ["without a session", undefined],
    ["with a session of null", null]
  ] as const) {
    it.scoped(`replaces the report of the same key ${what}`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const first = (yield* mine.ask("usage-report", { ...report, sessionId })) as Record<string, unknown>
        const second = (yield* mine.ask("usage-report", {
          ...report,
          sessionId,
          tokens: { total: 9 }
        })) as Record<string, unknown>
        assert.strictEqual(second["reportId"], first["reportId"])
        assert.strictEqual(second["createdAt"], first["createdAt"])
        const stored = reports(database)
        assert.strictEqual(stored.length, 1)
        assert.strictEqual(stored[0]?.["sessionId"], sessionId ?? null)
        assert.strictEqual(stored[0]?.["data"], JSON.stringify({ tokens: { total: 9 }, cost: report.cost }))
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("sends no ephemeral without a session", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      yield* mine.ask("usage-report", { ...report, sessionId: undefined })
      assert.deepStrictEqual(yield* mine.rest("ephemeral"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("needs no ack", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      mine.emit("usage-report", report)
      yield* mine.next("ephemeral")
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [error, payload] of [
    ["Invalid key", undefined],
    ["Invalid key", null],
    ["Invalid key", { ...report, key: "" }],
    ["Invalid key", { ...report, key: 1 }],
    ["Invalid tokens object - must include total", { ...report, tokens: { input: 1 } }],
    ["Invalid tokens object - must include total", { ...report, tokens: [1] }],
    ["Invalid tokens object - must include total", { ...report, tokens: { total: "3" } }],
    ["Invalid tokens object - must include total", { ...report, tokens: { total: 3, input: {} } }],
    ["Invalid tokens object - must include total", { ...report, tokens: { total: -1 } }],
    ["Invalid tokens object - must include total", { ...report, tokens: { total: 2 ** 53 } }],
    ["Invalid tokens object - must include total", { ...report, tokens: { total: 1, input: 9e18 } }],
    ["Invalid cost object - must include total", { ...report, cost: { total: -0.01 } }],
    ["Invalid cost object - must include total", { ...report, cost: { total: 1e308 } }],
    ["Invalid cost object - must include total", { ...report, cost: null }],
    ["Invalid cost object - must include total", { ...report, cost: {} }],
    ["Invalid sessionId", { ...report, sessionId: 5 }],
    ["Invalid sessionId", { ...report, sessionId: "" }],
    ["Session not found", { ...report, sessionId: "s9" }],
    ["Session not found", { ...report, sessionId: "s2" }]
  ] as const) {
    it.scoped(`answers "${error}" to ${JSON.stringify(payload)} and writes nothing`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        assert.deepStrictEqual(yield* mine.ask("usage-report", payload), { success: false, error })
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("answers when a session was deleted since it was read", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      database.nextWrite = {
        _tag: "Before",
        run: () => database.sqlite.exec(`DELETE FROM "Session" WHERE "id" = 's1'`)
      }
      assert.deepStrictEqual(yield* mine.ask("usage-report", report), { success: false, error: "Session not found" })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers when the report is saved, if it cannot be saved now, and that it was not if it never can", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      database.nextWrite = {
        _tag: "Fail",
        error: new DatabaseBusy({ lane: Lane.data, code: "SQLITE_BUSY", attempts: 4 })
      }
      assert.deepInclude((yield* askHeld(mine, "usage-report", report)) as object, { success: true })
      const error = new WriteRejected({ lane: Lane.data, code: "SQLITE_CONSTRAINT", detail: "test" })
      database.nextWrite = { _tag: "Fail", error }
      assert.deepStrictEqual(yield* mine.ask("usage-report", report), {
        success: false,
        error: "Failed to save usage report"
      })
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("UsageRoutes", () => {
  const post = (accountId: string, payload: object) =>
    Effect.flatMap(TestServer, ({ inject }) =>
      inject({ method: "POST", url: "/v2/usage-reports", headers: authorized(accountId), payload })
    )

  it.scoped("stores a report of a session", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const response = yield* post("a1", report)
      assert.strictEqual(response.statusCode, 200)
      assert.isTrue(response.json<{ success: boolean }>().success)
      assert.strictEqual(reports(database).length, 1)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("stores the largest numbers there may be", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const largest = { tokens: { total: Number.MAX_SAFE_INTEGER, none: 0 }, cost: { total: 1e12, none: 0 } }
      assert.strictEqual((yield* post("a1", { ...report, ...largest })).statusCode, 200)
      assert.strictEqual(reports(database)[0]?.["data"], JSON.stringify(largest))
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("stores a report without a session, one row per account and key", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      for (const total of [1, 2]) {
        const response = yield* post("a1", { ...report, sessionId: undefined, tokens: { total } })
        assert.strictEqual(response.statusCode, 200)
      }
      assert.strictEqual(reports(database).length, 1)
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [what, payload, status, error] of [
    ["no key", { ...report, key: undefined }, 400, "Invalid parameters"],
    ["no tokens", { ...report, tokens: undefined }, 400, "Invalid parameters"],
    ["more tokens than a number counts", { ...report, tokens: { total: 9e18 } }, 400, "Invalid parameters"],
    ["a cost above the limit", { ...report, cost: { total: 1e308 } }, 400, "Invalid parameters"],
    ["a list", [], 400, "Invalid parameters"],
    ["an unknown session", { ...report, sessionId: "s9" }, 404, "Session not found"],
    ["the session of another account", { ...report, sessionId: "s2" }, 404, "Session not found"]
  ] as const) {
    it.scoped(`answers ${status} for ${what}`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const response = yield* post("a1", payload)
        assert.strictEqual(response.statusCode, status)
        assert.deepStrictEqual(response.json(), { error })
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )
  }
})
