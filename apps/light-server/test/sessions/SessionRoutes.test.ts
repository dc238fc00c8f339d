import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/Lane"
import { Presence } from "presence-effect/Presence"
import * as PresenceKey from "presence-effect/PresenceKey"
import { LaneOverflow } from "presence-effect/WriterError"
import { hangUpDuring } from "../support/HangUp.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, authorized, layerWith, TestServer } from "../support/TestServer.ts"

const open = (accountId: string, payload: object) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "POST", url: "/v1/sessions", headers: authorized(accountId), payload })
  )

const get = (accountId: string, url: string) =>
  Effect.flatMap(TestServer, ({ inject }) => inject({ method: "GET", url, headers: authorized(accountId) }))

const twoAccounts = Effect.tap(TestDatabase, (database) => {
  database.addAccount("a1")
  database.addAccount("a2")
})

const addSession = (
  database: TestDatabase["Type"],
  session: {
    readonly id: string
    readonly accountId?: string
    readonly tag?: string
    readonly active?: number
    readonly at?: number
  }
) => {
  const at = session.at ?? Date.now()
  database.sqlite
    .prepare(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, 'sealed', ?, ?, ?, ?)`
    )
    .run(session.id, session.tag ?? session.id, session.accountId ?? "a1", session.active ?? 1, at, at, at)
}

interface Listed {
  readonly sessions: ReadonlyArray<Record<string, unknown>>
  readonly nextCursor: string | null
  readonly hasNext: boolean
}

const idsOf = ({ sessions }: Listed) => sessions.map(({ id }) => id)

describe("SessionRoutes", () => {
  describe("POST /v1/sessions", () => {
    it.scoped("creates an active session with the sent agent state, versions from 0", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const response = yield* open("a1", { tag: "t", metadata: "sealed", agentState: "s", dataEncryptionKey: "a2V5" })
        assert.strictEqual(response.statusCode, 200)
        const { session } = response.json<{ session: Record<string, unknown> }>()
        assert.match(String(session["id"]), /^c[a-z0-9]{24}$/)
        assert.deepStrictEqual(session, {
          id: session["id"],
          seq: 0,
          metadata: "sealed",
          metadataVersion: 0,
          agentState: "s",
          agentStateVersion: 0,
          dataEncryptionKey: "a2V5",
          active: true,
          activeAt: session["activeAt"],
          createdAt: session["activeAt"],
          updatedAt: session["activeAt"],
          lastMessage: null
        })
        assert.deepStrictEqual(database.writes, [Lane.control])
        assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 1 }])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers the session that has the tag, without a write", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const first = yield* open("a1", { tag: "t", metadata: "one" })
        const second = yield* open("a1", { tag: "t", metadata: "two", agentState: "late" })
        assert.deepStrictEqual(second.json(), first.json())
        assert.strictEqual(database.writes.length, 1)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("keeps tags of accounts apart", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const one = yield* open("a1", { tag: "t", metadata: "one" })
        const two = yield* open("a2", { tag: "t", metadata: "two" })
        assert.strictEqual(two.json<{ session: { metadata: string } }>().session.metadata, "two")
        assert.notStrictEqual(
          one.json<{ session: { id: string } }>().session.id,
          two.json<{ session: { id: string } }>().session.id
        )
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers the winner's row when it loses the race for a tag", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        database.nextWrite = { _tag: "Before", run: () => addSession(database, { id: "winner", tag: "t" }) }
        const response = yield* open("a1", { tag: "t", metadata: "mine" })
        assert.strictEqual(response.statusCode, 200)
        assert.strictEqual(response.json<{ session: { id: string } }>().session.id, "winner")
        assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 0 }])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("announces a new session after its commit, and a known one not", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const foreign = yield* server.connect(app("a2"))
        const response = yield* open("a1", { tag: "t", metadata: "sealed" })
        yield* open("a1", { tag: "t", metadata: "sealed" })
        const { lastMessage, ...session } = response.json<{ session: Record<string, unknown> }>().session
        assert.isNull(lastMessage)
        const update = (yield* mine.next("update")) as { readonly seq: number; readonly body: object }
        assert.strictEqual(update.seq, 1)
        assert.deepStrictEqual(update.body, { t: "new-session", sid: session["id"], ...session })
        assert.deepStrictEqual(yield* mine.rest("update"), [])
        assert.deepStrictEqual(yield* foreign.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("announces a session whose agent hangs up before it learns of the commit", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const payload = { tag: "t", metadata: "sealed" }
        yield* hangUpDuring(server.url, { path: "/v1/sessions", headers: authorized("a1"), payload })
        const update = (yield* mine.next("update")) as { readonly body: object }
        assert.deepInclude(update.body, { t: "new-session", metadata: "sealed" })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 503 with Retry-After when the lane is full", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        database.nextWrite = {
          _tag: "Fail",
          error: new LaneOverflow({ lane: Lane.control, waiterCount: 256, capacity: 256 })
        }
        const response = yield* open("a1", { tag: "t", metadata: "sealed" })
        assert.strictEqual(response.statusCode, 503)
        assert.isDefined(response.headers["retry-after"])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [what, payload] of [
      ["no tag", { metadata: "sealed" }],
      ["an empty tag", { tag: "", metadata: "sealed" }],
      ["no metadata", { tag: "t" }],
      ["a state that is no text", { tag: "t", metadata: "sealed", agentState: {} }],
      ["a key that is no base64", { tag: "t", metadata: "sealed", dataEncryptionKey: "?" }]
    ] as const) {
      it.scoped(`answers 400 for ${what}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          const response = yield* open("a1", payload)
          assert.strictEqual(response.statusCode, 400)
          assert.match(response.json<{ message: string }>().message, /^body/)
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  it.scoped("lists the last updated first, of this account only", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      addSession(database, { id: "s1", at: 10 })
      addSession(database, { id: "s2", at: 30 })
      addSession(database, { id: "s3", at: 20, accountId: "a2" })
      const listed = (yield* get("a1", "/v1/sessions")).json<Listed>()
      assert.deepStrictEqual(idsOf(listed), ["s2", "s1"])
      assert.isNull(listed.sessions[0]?.["lastMessage"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("lists at most 150", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      for (let index = 0; index < 151; index++) addSession(database, { id: `s${index}` })
      assert.strictEqual((yield* get("a1", "/v1/sessions")).json<Listed>().sessions.length, 150)
    }).pipe(Effect.provide(layerWith()))
  )

  describe("GET /v2/sessions/active", () => {
    it.scoped("leaves out the ended, the long silent, and those who left a moment ago", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const presence = yield* Presence
        const now = Date.now()
        addSession(database, { id: "ended", active: 0 })
        addSession(database, { id: "silent", at: now - 16 * 60_000 })
        addSession(database, { id: "left", at: now + 1 })
        addSession(database, { id: "older", at: now - 60_000 })
        addSession(database, { id: "newer", at: now })
        yield* presence.end(PresenceKey.session("a1", "left"), now)
        const listed = (yield* get("a1", "/v2/sessions/active")).json<Listed>()
        assert.deepStrictEqual(idsOf(listed), ["newer", "older"])
        assert.deepStrictEqual(idsOf((yield* get("a1", "/v2/sessions/active?limit=1")).json<Listed>()), ["newer"])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const limit of ["0", "501", "1.5", "x", ""]) {
      it.scoped(`answers 400 for limit=${limit}`, () =>
        Effect.gen(function* () {
          yield* twoAccounts
          assert.strictEqual((yield* get("a1", `/v2/sessions/active?limit=${limit}`)).statusCode, 400)
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  describe("GET /v2/sessions", () => {
    it.scoped("pages through all sessions, ids descending, each once", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        for (let index = 1; index <= 5; index++) addSession(database, { id: `s${index}` })
        addSession(database, { id: "s0", accountId: "a2" })
        const pages: Array<Listed> = []
        let cursor: string | null = null
        do {
          const query: string = cursor === null ? "" : `&cursor=${cursor}`
          const page: Listed = (yield* get("a1", `/v2/sessions?limit=2${query}`)).json<Listed>()
          pages.push(page)
          cursor = page.nextCursor
        } while (cursor !== null)
        assert.deepStrictEqual(pages.map(idsOf), [["s5", "s4"], ["s3", "s2"], ["s1"]])
        assert.deepStrictEqual(
          pages.map(({ nextCursor, hasNext }) => ({ nextCursor, hasNext })),
          [
            { nextCursor: "cursor_v1_s4", hasNext: true },
            { nextCursor: "cursor_v1_s2", hasNext: true },
            { nextCursor: null, hasNext: false }
          ]
        )
        assert.isNull(pages[0]?.sessions[0]?.["share"])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("ends exactly at the last full page", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        addSession(database, { id: "s1" })
        addSession(database, { id: "s2" })
        const page = (yield* get("a1", "/v2/sessions?limit=2")).json<Listed>()
        assert.deepStrictEqual([page.nextCursor, page.hasNext], [null, false])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const cursor of ["s1", "cursor_v1_", "cursor_v2_s1", "cursor_v1_%27;--"]) {
      it.scoped(`answers 400 for the cursor ${cursor}`, () =>
        Effect.gen(function* () {
          yield* twoAccounts
          const response = yield* get("a1", `/v2/sessions?cursor=${cursor}`)
          assert.strictEqual(response.statusCode, 400)
          assert.deepStrictEqual(response.json(), { error: "Invalid cursor format" })
        }).pipe(Effect.provide(layerWith()))
      )
    }

    it.scoped("answers 400 for a limit above 200", () =>
      Effect.gen(function* () {
        yield* twoAccounts
        assert.strictEqual((yield* get("a1", "/v2/sessions?limit=201")).statusCode, 400)
      }).pipe(Effect.provide(layerWith()))
    )
  })

  it.scoped("answers one session, and 404 for a missing or foreign one", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      addSession(database, { id: "s1" })
      const found = yield* get("a1", "/v2/sessions/s1")
      assert.strictEqual(found.statusCode, 200)
      const { session } = found.json<{ session: Record<string, unknown> }>()
      assert.deepStrictEqual([session["id"], session["share"]], ["s1", null])
      for (const missing of [yield* get("a1", "/v2/sessions/s2"), yield* get("a2", "/v2/sessions/s1")]) {
        assert.strictEqual(missing.statusCode, 404)
        assert.deepStrictEqual(missing.json(), { error: "Session not found" })
      }
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 401 without a token on every route", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      for (const url of ["/v1/sessions", "/v2/sessions", "/v2/sessions/active", "/v2/sessions/s1"]) {
        assert.strictEqual((yield* inject({ method: "GET", url })).statusCode, 401)
      }
      const posted = yield* inject({ method: "POST", url: "/v1/sessions", payload: { tag: "t", metadata: "m" } })
      assert.strictEqual(posted.statusCode, 401)
    }).pipe(Effect.provide(layerWith()))
  )
})
