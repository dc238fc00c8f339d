/**
 * Profile, settings and features, as clients see them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { forgetCounts, get, layer, login, post } from "../support/AccountServer.ts"
import { hangUpDuring } from "../support/HangUp.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestServer } from "../support/TestServer.ts"

const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 1000 })

const settingsOf = (token: string) =>
  Effect.map(get("/v1/account/settings", token), (response) =>
    response.json<{ readonly settings: string | null; readonly settingsVersion: number }>()
  )

const replace = (token: string, settings: string | null, expectedVersion: number) =>
  post("/v1/account/settings", { settings, expectedVersion }, token)

describe("GET /v1/account/profile", () => {
  it.scoped("shows the account of the token", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { accountId, token } = yield* login()
      yield* forgetCounts
      const response = yield* get("/v1/account/profile", token)
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), {
        id: accountId,
        timestamp: 0,
        firstName: null,
        lastName: null,
        username: null,
        avatar: null,
        github: null,
        connectedServices: []
      })
      assert.deepStrictEqual([database.writes, database.readCount], [[], 1])

      database.sqlite.exec(`UPDATE "Account" SET "firstName" = 'Ada', "username" = 'ada', "avatar" = '{"path":"a"}'`)
      const named = yield* get("/v1/account/profile", token)
      assert.include(named.json<object>(), { firstName: "Ada", username: "ada" })
      assert.deepStrictEqual(named.json<{ avatar: unknown }>().avatar, { path: "a" })
    }).pipe(Effect.provide(layer()))
  )
})

describe("/v1/account/settings", () => {
  it.scoped("start empty at version 0, and count up", () =>
    Effect.gen(function* () {
      const { token } = yield* login()
      assert.deepStrictEqual(yield* settingsOf(token), { settings: null, settingsVersion: 0 })
      const first = yield* replace(token, "sealed 1", 0)
      assert.strictEqual(first.statusCode, 200)
      assert.deepStrictEqual(first.json(), { success: true, version: 1 })
      assert.deepStrictEqual(yield* settingsOf(token), { settings: "sealed 1", settingsVersion: 1 })
      assert.deepStrictEqual((yield* replace(token, null, 1)).json(), { success: true, version: 2 })
      assert.deepStrictEqual(yield* settingsOf(token), { settings: null, settingsVersion: 2 })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("is one write, however large the settings are", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { token } = yield* login()
      for (const [version, length] of [10, 500_000].entries()) {
        yield* forgetCounts
        yield* replace(token, "s".repeat(length), version)
        assert.deepStrictEqual([database.writes, database.readCount], [[Lane.control], 0])
      }
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("announces settings whose write was not confirmed to the apps, once they are found", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const server = yield* TestServer
      const { accountId, token } = yield* login()
      const watching = yield* server.connect({ token })
      database.nextWrite = { _tag: "Lost", error: unconfirmed }
      const response = yield* replace(token, "sealed", 0)
      assert.deepStrictEqual(response.json(), { success: true, version: 1 })
      const update = (yield* watching.next("update")) as { readonly seq: number; readonly body: object }
      const settings = { value: "sealed", version: 1 }
      assert.deepStrictEqual(update.body, { t: "update-account", id: accountId, settings })
      assert.strictEqual(update.seq, 1)
      assert.strictEqual((yield* replace(token, "sealed", 0)).json<{ success: boolean }>().success, false)
      assert.deepStrictEqual(yield* watching.rest("update"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped(
    "announces settings that are committed only after their request was refused, when they are sent again",
    () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase
        const server = yield* TestServer
        const { token } = yield* login()
        const watching = yield* server.connect({ token })
        let commit: Effect.Effect<void> = Effect.void
        database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = effect) }
        assert.strictEqual((yield* replace(token, "sealed", 0)).statusCode, 503)
        yield* commit
        assert.deepStrictEqual(yield* watching.rest("update"), [])
        const other = yield* replace(token, "another", 0)
        assert.deepInclude(other.json<object>(), { success: false, currentVersion: 1, currentSettings: "sealed" })
        assert.deepStrictEqual((yield* replace(token, "sealed", 0)).json(), { success: true, version: 1 })
        assert.deepInclude((yield* watching.next("update")) as object, { seq: 1 })
      }).pipe(Effect.provide(layer()))
  )

  it.scoped("answers a stale version with the current settings, and changes nothing", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { accountId, token } = yield* login()
      yield* replace(token, "current", 0)
      for (const stale of [0, 2, 99]) {
        const response = yield* replace(token, "mine", stale)
        assert.strictEqual(response.statusCode, 200)
        assert.deepStrictEqual(response.json(), {
          success: false,
          error: "version-mismatch",
          currentVersion: 1,
          currentSettings: "current"
        })
      }
      // A refused change takes no number.
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = ?`, accountId), [{ seq: 1 }])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("lets one of many writers at the same version win", () =>
    Effect.gen(function* () {
      const { token } = yield* login()
      const responses = yield* Effect.all(
        Array.from({ length: 8 }, (_, index) => replace(token, `sealed ${index}`, 0)),
        { concurrency: "unbounded" }
      )
      const bodies = responses.map((response) => response.json<{ readonly success: boolean }>())
      assert.strictEqual(bodies.filter(({ success }) => success).length, 1)
      const winner = bodies.findIndex(({ success }) => success)
      assert.deepStrictEqual(yield* settingsOf(token), { settings: `sealed ${winner}`, settingsVersion: 1 })
      for (const body of bodies.filter(({ success }) => !success)) {
        assert.include(body as object, { currentVersion: 1, currentSettings: `sealed ${winner}` })
      }
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("announces a change to the apps of the account only, after the commit, with its number in the feed", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const server = yield* TestServer
      const [ada, bob] = [yield* login(), yield* login()]
      yield* post("/v1/machines", { id: "m1", metadata: "sealed" }, ada.token)
      const app = yield* server.connect({ token: ada.token })
      const daemon = yield* server.connect({ token: ada.token, clientType: "machine-scoped", machineId: "m1" })
      const foreign = yield* server.connect({ token: bob.token })
      yield* replace(ada.token, "sealed", 0)
      const update = (yield* app.next("update")) as Record<string, unknown>
      assert.deepStrictEqual(Object.keys(update).toSorted(), ["body", "createdAt", "id", "seq"])
      assert.strictEqual(update["seq"], 2)
      assert.deepStrictEqual(update["body"], {
        t: "update-account",
        id: ada.accountId,
        settings: { value: "sealed", version: 1 }
      })
      yield* replace(ada.token, "stale", 0)
      assert.deepStrictEqual(yield* app.rest("update"), [])
      assert.deepStrictEqual(
        database.query(`SELECT "accountId", "cursor" FROM "AccountChange" WHERE "kind" = 'account'`),
        [{ accountId: ada.accountId, cursor: 2 }]
      )
      assert.deepStrictEqual(yield* daemon.rest("update"), [])
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("announces a change to the apps when its client disconnects before the answer", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const { accountId, token } = yield* login()
      const app = yield* server.connect({ token })
      yield* hangUpDuring(server.url, {
        path: "/v1/account/settings",
        headers: { authorization: `Bearer ${token}` },
        payload: { settings: "sealed", expectedVersion: 0 }
      })
      const update = (yield* app.next("update")) as { readonly body: object }
      assert.deepInclude(update.body, { t: "update-account", id: accountId })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("does not announce a change that is not stored", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const server = yield* TestServer
      const { token } = yield* login()
      const app = yield* server.connect({ token })
      database.nextWrite = {
        _tag: "Fail",
        error: new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 3 })
      }
      assert.strictEqual((yield* replace(token, "sealed", 0)).statusCode, 503)
      assert.deepStrictEqual(yield* app.rest("update"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("answers 400 to bodies that do not fit, and writes nothing", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { token } = yield* login()
      yield* forgetCounts
      for (const payload of [
        {},
        { settings: "s" },
        { expectedVersion: 0 },
        { settings: 1, expectedVersion: 0 },
        { settings: "s", expectedVersion: -1 },
        { settings: "s", expectedVersion: 0.5 },
        { settings: "s", expectedVersion: "0" },
        []
      ]) {
        const response = yield* post("/v1/account/settings", payload, token)
        assert.strictEqual(response.statusCode, 400, JSON.stringify(payload))
        assert.strictEqual(response.json<{ error: string }>().error, "Error")
      }
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layer()))
  )
})

describe("GET /v1/features", () => {
  it.scoped("returns the features of this server without a token", () =>
    Effect.gen(function* () {
      const response = yield* get("/v1/features")
      const { capabilities, features } = response.json<{ readonly capabilities: object; readonly features: object }>()
      assert.deepInclude(features, {
        sessionSharing: false,
        publicSharing: false,
        contentKeys: true,
        voice: { enabled: false }
      })
      // No address is advertised where none was configured.
      assert.deepStrictEqual(capabilities, {})
    }).pipe(Effect.provide(layer()))
  )
})

describe("routes this server does not have", () => {
  for (const url of ["/v1/push-tokens", "/v1/kv", "/v1/artifacts", "/v1/feed", "/v1/friends"]) {
    it.scoped(`answers ${url} as an unknown route`, () =>
      Effect.gen(function* () {
        const response = yield* get(url)
        assert.strictEqual(response.statusCode, 404)
        assert.deepStrictEqual(response.json(), { error: "Not found", path: url, method: "GET" })
      }).pipe(Effect.provide(layer()))
    )
  }
})

describe("routes of an account", () => {
  for (const [method, url] of [
    ["GET", "/v1/account/profile"],
    ["GET", "/v1/account/settings"],
    ["POST", "/v1/account/settings"],
    ["POST", "/v1/auth/revoke"]
  ] as const) {
    it.scoped(`requires a token for ${method} ${url}`, () =>
      Effect.gen(function* () {
        const { inject } = yield* TestServer
        const payload = { settings: "s", expectedVersion: 0 }
        const request = { method, url, ...(method === "POST" && { payload }) }
        const none = yield* inject(request)
        assert.deepStrictEqual([none.statusCode, none.json()], [401, { error: "Missing authorization header" }])
        const bad = yield* inject({ ...request, headers: { authorization: "Bearer x" } })
        assert.deepStrictEqual([bad.statusCode, bad.json()], [401, { error: "Invalid token" }])
      }).pipe(Effect.provide(layer()))
    )
  }
})
