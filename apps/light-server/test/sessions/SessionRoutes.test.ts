import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Presence } from "../../src/entities/Presence.ts"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import { LaneOverflow, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import * as TimeForm from "../../src/database/TimeForm.ts"
import { hangUpDuring } from "../support/HangUp.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, authorized, layerWith, TestServer } from "../support/TestServer.ts"

const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 1000 })

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
    readonly at?: number | string
    readonly metadata?: string
  }
) => {
  const at = session.at ?? Date.now()
  database.sqlite
    .prepare(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
    )
    .run(
      session.id,
      session.tag ?? session.id,
      session.accountId ?? "a1",
      session.metadata ?? "sealed",
      session.active ?? 1,
      at,
      at,
      at
    )
}

interface Listed {
  readonly sessions: ReadonlyArray<Record<string, unknown>>
  readonly nextCursor: string | null
  readonly hasNext: boolean
}

const mebibyte = 1024 * 1024

/** A value that no client sent: bytes in place of a text. */
const spoil = (database: TestDatabase["Type"], id: string) =>
  database.sqlite.prepare(`UPDATE "Session" SET "metadata" = x'00' WHERE "id" = ?`).run(id)

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
          archivedAt: null,
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

    it.scoped("announces a session whose agent disconnects before the answer", () =>
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

    it.scoped("announces a session whose write was not confirmed, and answers with it, once it is found", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        database.nextWrite = { _tag: "Lost", error: unconfirmed }
        const first = yield* open("a1", { tag: "t", metadata: "sealed" })
        assert.strictEqual(first.statusCode, 200)
        const { id } = first.json<{ session: { id: string } }>().session
        const update = (yield* mine.next("update")) as { readonly seq: number; readonly body: object }
        assert.strictEqual(update.seq, 1)
        assert.deepInclude(update.body, { t: "new-session", id })
        assert.deepStrictEqual((yield* open("a1", { tag: "t", metadata: "sealed" })).json(), first.json())
        assert.deepStrictEqual(yield* mine.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [when, isKnown] of [
      ["is known by then", true],
      ["wins the race for the tag", false]
    ] as const) {
      it.scoped(`announces a session that is committed late when its agent asks again, and it ${when}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          let commit: Effect.Effect<void> = Effect.void
          database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = effect) }
          assert.strictEqual((yield* open("a1", { tag: "t", metadata: "sealed" })).statusCode, 503)
          if (isKnown) yield* commit
          else database.nextWrite = { _tag: "Before", run: () => Effect.runSync(commit) }
          assert.deepStrictEqual(yield* mine.rest("update"), [])
          assert.strictEqual((yield* open("a1", { tag: "t", metadata: "sealed" })).statusCode, 200)
          yield* open("a1", { tag: "t", metadata: "sealed" })
          const updates = yield* mine.rest("update")
          assert.deepStrictEqual(
            updates.map((update) => (update as { readonly seq: number }).seq),
            [1]
          )
        }).pipe(Effect.provide(layerWith()))
      )
    }

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

  it.scoped("lists the last updated up to 8 MiB, and marks in a header that there are more", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      for (const at of [1, 2, 3]) addSession(database, { id: `s${at}`, at, metadata: "x".repeat(3 * mebibyte) })
      const cut = yield* get("a1", "/v1/sessions")
      assert.deepStrictEqual(idsOf(cut.json<Listed>()), ["s3", "s2"])
      assert.strictEqual(cut.headers["x-list-cut"], "bytes")
      assert.deepStrictEqual(Object.keys(cut.json<object>()), ["sessions"])
      database.sqlite.exec(`UPDATE "Session" SET "metadata" = 'short' WHERE "id" = 's1'`)
      const whole = yield* get("a1", "/v1/sessions")
      assert.deepStrictEqual(idsOf(whole.json<Listed>()), ["s3", "s2", "s1"])
      assert.isUndefined(whole.headers["x-list-cut"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("lists what can be read beside a row that cannot, and answers 500 for that one", () =>
    Effect.gen(function* () {
      const database = yield* twoAccounts
      for (const id of ["s1", "s2", "s3"]) addSession(database, { id })
      spoil(database, "s2")
      for (const url of ["/v1/sessions", "/v2/sessions", "/v2/sessions/active"]) {
        const response = yield* get("a1", url)
        assert.strictEqual(response.statusCode, 200)
        assert.sameMembers(idsOf(response.json<Listed>()), ["s1", "s3"], url)
      }
      for (const response of [yield* get("a1", "/v2/sessions/s2"), yield* open("a1", { tag: "s2", metadata: "m" })]) {
        assert.strictEqual(response.statusCode, 500)
        assert.deepInclude(response.json<object>(), { code: "ReadFailed", retryable: false })
        assert.isUndefined(response.headers["retry-after"])
      }
    }).pipe(Effect.provide(layerWith()))
  )

  describe("GET /v2/sessions/active", () => {
    it.scoped("includes sessions that are online only in memory, with the time from memory", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const presence = yield* Presence
        const now = Date.now()
        const long = now - 60 * 60_000
        addSession(database, { id: "stored", at: now - 10_000 })
        addSession(database, { id: "woken", active: 0, at: long })
        addSession(database, { id: "revived", at: long })
        addSession(database, { id: "foreign", accountId: "a2", active: 0, at: long })
        addSession(database, { id: "quiet", active: 0, at: long })
        presence.beat(PresenceKey.session("a1", "woken"), now)
        presence.beat(PresenceKey.session("a1", "revived"), now - 5000)
        presence.beat(PresenceKey.session("a2", "foreign"), now)
        presence.beat(PresenceKey.session("a1", "quiet"), now - 16 * 60_000)
        const listed = (yield* get("a1", "/v2/sessions/active")).json<Listed>()
        assert.deepStrictEqual(idsOf(listed), ["woken", "revived", "stored"])
        assert.deepInclude(listed.sessions[0], { active: true, activeAt: now })
        assert.deepStrictEqual(idsOf((yield* get("a1", "/v2/sessions/active?limit=2")).json<Listed>()), [
          "woken",
          "revived"
        ])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const form of [TimeForm.integer, TimeForm.iso]) {
      it.scoped(`shows times of every form in a file whose form is ${form.name}`, () =>
        Effect.gen(function* () {
          const database = yield* twoAccounts
          const ago = (minutes: number) => Date.now() - minutes * 60_000
          addSession(database, { id: "number", at: ago(3) })
          addSession(database, { id: "iso", at: TimeForm.iso.encode(ago(2)) })
          addSession(database, { id: "bare", at: new Date(ago(1)).toISOString().slice(0, 19).replace("T", " ") })
          addSession(database, { id: "old number", at: ago(16) })
          addSession(database, { id: "old iso", at: TimeForm.iso.encode(ago(16)) })
          const listed = (yield* get("a1", "/v2/sessions/active")).json<Listed>()
          assert.deepStrictEqual(idsOf(listed), ["bare", "iso", "number"])
          assert.deepStrictEqual(idsOf((yield* get("a1", "/v2/sessions/active?limit=1")).json<Listed>()), ["bare"])
        }).pipe(Effect.provide(layerWith()), Effect.provideService(TimeForm.TimeForm, form))
      )
    }

    it.scoped("is cut at 8 MiB, and marks it", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        const now = Date.now()
        for (const index of [1, 2, 3]) {
          addSession(database, { id: `s${index}`, at: now - index, metadata: "x".repeat(3 * mebibyte) })
        }
        const response = yield* get("a1", "/v2/sessions/active")
        assert.deepStrictEqual(idsOf(response.json<Listed>()), ["s1", "s2"])
        assert.strictEqual(response.headers["x-list-cut"], "bytes")
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("leaves out sessions that ended, were silent for long, or disconnected a moment ago", () =>
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

    it.scoped("ends a page before 1 MiB, and loses nothing: not beside a row that cannot be read either", () =>
      Effect.gen(function* () {
        const database = yield* twoAccounts
        for (const [id, size] of [
          ["s6", 1],
          ["s5", 3],
          ["s4", 3],
          ["s3", 9],
          ["s2", 1],
          ["s1", 1]
        ] as const) {
          addSession(database, { id, metadata: "x".repeat((size * mebibyte) / 8) })
        }
        for (const id of ["s2", "s4"]) spoil(database, id)
        database.sqlite.exec(
          `UPDATE "Session" SET "agentState" = '${"x".repeat((5 * mebibyte) / 8)}' WHERE "id" = 's4'`
        )
        const pages: Array<Listed> = []
        let cursor: string | null = null
        do {
          const query: string = cursor === null ? "" : `&cursor=${cursor}`
          const response: { json: <A>() => A; headers: object } = yield* get("a1", `/v2/sessions?limit=10${query}`)
          assert.notProperty(response.headers, "x-list-cut")
          const page = response.json<Listed>()
          assert.deepStrictEqual(Object.keys(page).toSorted(), ["hasNext", "nextCursor", "sessions"])
          pages.push(page)
          cursor = page.nextCursor
        } while (cursor !== null)
        assert.deepStrictEqual(pages.map(idsOf), [["s6", "s5"], [], ["s3"], ["s1"]])
        assert.deepStrictEqual(
          pages.map(({ hasNext, nextCursor }) => [hasNext, nextCursor]),
          [
            [true, "cursor_v1_s5"],
            [true, "cursor_v1_s4"],
            [true, "cursor_v1_s3"],
            [false, null]
          ]
        )
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
