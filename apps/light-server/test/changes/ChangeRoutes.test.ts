import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, authorized, layerWith, TestServer } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, addTwoSessions)

const request = (accountId: string, method: "GET" | "POST" | "PATCH" | "DELETE", url: string, payload?: object) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method, url, headers: authorized(accountId), ...(payload === undefined ? {} : { payload }) })
  )

interface Page {
  readonly changes: ReadonlyArray<{
    readonly cursor: number
    readonly kind: string
    readonly entityId: string
    readonly changedAt: number
    readonly hint: unknown
  }>
  readonly nextCursor: number
}

const changes = (accountId: string, query = "") =>
  Effect.map(request(accountId, "GET", `/v2/changes${query}`), (response) => {
    assert.strictEqual(response.statusCode, 200, response.body)
    return response.json<Page>()
  })

const linesOf = ({ changes }: Page) => changes.map(({ cursor, kind, entityId, hint }) => [cursor, kind, entityId, hint])

const addChanges = ({ sqlite }: TestDatabase["Type"], count: number) => {
  const insert = sqlite.prepare(
    `INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt") VALUES ('a1', 'kv', ?, ?, 5)`
  )
  for (let cursor = 1; cursor <= count; cursor++) insert.run(`k${cursor}`, cursor)
  sqlite.prepare(`UPDATE "Account" SET "seq" = ? WHERE "id" = 'a1'`).run(count)
}

describe("ChangeRoutes", () => {
  it.scoped("has a line for every write that takes a cursor, and none for others", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      yield* request("a1", "POST", "/v1/machines", { id: "m1", metadata: "sealed" })
      yield* request("a1", "POST", "/v1/machines", { id: "m1", metadata: "sealed" })
      const opened = yield* request("a1", "POST", "/v1/sessions", { tag: "t", metadata: "sealed" })
      const sid = opened.json<{ session: { id: string } }>().session.id
      yield* mine.ask("machine-update-state", { machineId: "m1", daemonState: "s", expectedVersion: 0 })
      yield* mine.ask("machine-update-state", { machineId: "m1", daemonState: "s", expectedVersion: 0 })
      yield* mine.ask("update-state", { sid, agentState: "s", expectedVersion: 0 })
      const { id } = (yield* mine.ask("message", { sid, message: "sealed" })) as { readonly id: string }
      yield* mine.ask("update-metadata", { sid: "s1", metadata: "new", expectedVersion: 0 })
      mine.emit("session-alive", { sid, time: Date.now() })
      mine.emit("usage-report", { key: "k", sessionId: sid, tokens: { total: 1 }, cost: { total: 1 } })
      yield* mine.flush
      assert.deepStrictEqual(linesOf(yield* changes("a1")), [
        [3, "machine", "m1", null],
        [5, "session", sid, { lastMessageSeq: 1, lastMessageId: id }],
        [6, "session", "s1", null]
      ])
      assert.deepStrictEqual((yield* request("a1", "GET", "/v2/cursor")).json(), { cursor: 6, changesFloor: 0 })
      assert.deepStrictEqual(yield* changes("a2"), { changes: [], nextCursor: 0 })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("returns a change whose hint or time cannot be read", () =>
    Effect.gen(function* () {
      const { sqlite } = yield* twoSessions
      sqlite.exec(`UPDATE "Account" SET "seq" = 2 WHERE "id" = 'a1'`)
      sqlite.exec(`INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt", "hint")
        VALUES ('a1', 'kv', 'k1', 1, 5, '{"cut'), ('a1', 'kv', 'k2', 2, 'yesterday', NULL)`)
      const { changes: lines, nextCursor } = yield* changes("a1")
      assert.strictEqual(nextCursor, 2)
      assert.deepStrictEqual(lines, [
        { cursor: 1, kind: "kv", entityId: "k1", changedAt: 5, hint: null },
        { cursor: 2, kind: "kv", entityId: "k2", changedAt: 0, hint: null }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("shows a cursor in an update that the feed has by then", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const sender = yield* server.connect(app("a1"))
      yield* sender.ask("message", { sid: "s1", message: "sealed" })
      const { seq } = (yield* watching.next("update")) as { readonly seq: number }
      const page = yield* changes("a1", `?after=${seq - 1}`)
      assert.deepInclude(page.changes[0], { cursor: seq, kind: "session", entityId: "s1" })
      const [line] = database.query(`SELECT "sessionId", "machineId" FROM "AccountChange"`)
      assert.deepStrictEqual(line, { sessionId: "s1", machineId: null })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("keeps the line of a deleted session, without a hint", () =>
    Effect.gen(function* () {
      addMessages(yield* twoSessions, "s1", 1)
      yield* request("a1", "DELETE", "/v1/sessions/s1")
      assert.deepStrictEqual(linesOf(yield* changes("a1")), [[1, "session", "s1", null]])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("pages through all changes, each once, and stays at the end", () =>
    Effect.gen(function* () {
      addChanges(yield* twoSessions, 5)
      const cursors: Array<ReadonlyArray<number>> = []
      let after = 0
      for (const expected of [2, 4, 5, 5]) {
        const page = yield* changes("a1", `?after=${after}&limit=2`)
        cursors.push(page.changes.map(({ cursor }) => cursor))
        after = page.nextCursor
        assert.strictEqual(after, expected)
      }
      assert.deepStrictEqual(cursors, [[1, 2], [3, 4], [5], []])
      assert.deepStrictEqual((yield* changes("a1", "?after=4")).changes, [
        { cursor: 5, kind: "kv", entityId: "k5", changedAt: 5, hint: null }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 200 changes unless asked for more", () =>
    Effect.gen(function* () {
      addChanges(yield* twoSessions, 501)
      assert.strictEqual((yield* changes("a1")).changes.length, 200)
      assert.strictEqual((yield* changes("a1", "?limit=500")).changes.length, 500)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 410 with the current cursor from beyond the newest change, and from below the floor", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      addChanges(database, 5)
      database.sqlite.exec(`UPDATE "Account" SET "changesFloor" = 3 WHERE "id" = 'a1'`)
      for (const after of [6, 2, 0]) {
        const response = yield* request("a1", "GET", `/v2/changes?after=${after}`)
        assert.strictEqual(response.statusCode, 410)
        assert.deepStrictEqual(response.json(), { error: "cursor-gone", currentCursor: 5 })
      }
      assert.strictEqual((yield* changes("a1", "?after=3")).changes.length, 2)
      assert.strictEqual((yield* changes("a1", "?after=5")).changes.length, 0)
      assert.deepStrictEqual((yield* request("a1", "GET", "/v2/cursor")).json(), { cursor: 5, changesFloor: 3 })
    }).pipe(Effect.provide(layerWith()))
  )

  for (const query of ["after=-1", "after=x", "after=1.5", "after=", "limit=0", "limit=501", "limit=x"]) {
    it.scoped(`answers 400 for ${query}`, () =>
      Effect.gen(function* () {
        yield* twoSessions
        const response = yield* request("a1", "GET", `/v2/changes?${query}`)
        assert.strictEqual(response.statusCode, 400)
        assert.match(response.json<{ message: string }>().message, /^querystring/)
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("answers 401 without a token, and with one whose account is gone", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      for (const url of ["/v2/changes", "/v2/cursor"]) {
        assert.strictEqual((yield* inject({ method: "GET", url })).statusCode, 401)
        assert.strictEqual((yield* request("a9", "GET", url)).statusCode, 401)
      }
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("reads the feed along its index, without sorting", () =>
    Effect.gen(function* () {
      const { query } = yield* twoSessions
      const plan = query(
        `EXPLAIN QUERY PLAN SELECT a."seq", c."cursor" FROM "Account" AS a
         LEFT JOIN "AccountChange" AS c ON c."accountId" = a."id" AND c."cursor" > 5
         WHERE a."id" = 'a1' ORDER BY c."cursor" LIMIT 9`
      )
      const details = plan.map(({ detail }) => String(detail)).join("\n")
      assert.include(details, "AccountChange_accountId_cursor_idx")
      assert.notInclude(details, "TEMP B-TREE")
    }).pipe(Effect.provide(layerWith()))
  )
})
