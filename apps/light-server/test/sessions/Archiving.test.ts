import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { agent, app, authorized, layerWith, TestServer } from "../support/TestServer.ts"
import { archivedAtOf, endedAgent, kept, post, twoSessions } from "./ArchiveClient.ts"

const busy = new PermitTimeout({ lane: Lane.control, waitedMillis: 1500 })
const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 1000 })

describe("POST /v2/sessions/:id/archive", () => {
  it.scoped("archives a session in one write, and announces it to every device of the account", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const foreign = yield* server.connect(app("a2"))
      const response = yield* post("a1", "s1", "archive")
      const { archivedAt } = response.json<{ archivedAt: number }>()
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), { success: true, archivedAt })
      assert.approximately(archivedAt, Date.now(), 60_000)
      const update = (yield* watching.next("update")) as { readonly seq: number; readonly body: object }
      assert.deepStrictEqual([update.seq, update.body], [1, { t: "update-session", id: "s1", sid: "s1", archivedAt }])
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
      assert.deepStrictEqual(kept(database), [{ sessionId: "s1", archivedAt }])
      assert.deepStrictEqual(database.query(`SELECT "kind", "entityId", "cursor" FROM "AccountChange"`), [
        { kind: "session", entityId: "s1", cursor: 1 }
      ])
      assert.deepStrictEqual(database.writes, [Lane.control])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces it to the agent of the session as well", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const working = yield* endedAgent
      yield* post("a1", "s1", "archive")
      assert.deepInclude(((yield* working.next("update")) as { readonly body: object }).body, { t: "update-session" })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("refuses an active session with 409, and takes it right after its end", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const working = yield* server.connect(agent("a1", "s1"))
      const refused = yield* post("a1", "s1", "archive")
      assert.deepStrictEqual([refused.statusCode, refused.json()], [409, { error: "session-active" }])
      assert.deepStrictEqual(database.writes, [])
      assert.deepStrictEqual(yield* watching.rest("update"), [])
      working.emit("session-end", { sid: "s1", time: Date.now() })
      yield* working.flush
      assert.strictEqual((yield* post("a1", "s1", "archive")).statusCode, 200)
      assert.isTrue(working.socket.connected)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("clears the flag of a row that the offline sweep has not reached", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      yield* endedAgent
      database.sqlite.exec(`UPDATE "Session" SET "active" = 1`)
      yield* post("a1", "s1", "archive")
      assert.deepStrictEqual(database.query(`SELECT "id", "active" FROM "Session" ORDER BY "id"`), [
        { id: "s1", active: 0 },
        { id: "s2", active: 1 }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("moves the time of a session that is archived already, and announces it", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      yield* post("a1", "s1", "archive")
      database.sqlite.exec(`UPDATE "PresenceSessionArchive" SET "archivedAt" = 7`)
      const watching = yield* server.connect(app("a1"))
      const { archivedAt } = (yield* post("a1", "s1", "archive")).json<{ archivedAt: number }>()
      assert.isAbove(archivedAt, 7)
      assert.deepStrictEqual(kept(database), [{ sessionId: "s1", archivedAt }])
      assert.deepInclude((yield* watching.next("update")) as object, { seq: 2 })
    }).pipe(Effect.provide(layerWith()))
  )

  for (const action of ["archive", "unarchive"] as const) {
    it.scoped(`answers 403 to ${action} for missing and foreign sessions, without a write`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        for (const id of ["s2", "s9"]) {
          const response = yield* post("a1", id, action)
          assert.deepStrictEqual([response.statusCode, response.json()], [403, { error: "Forbidden" }])
        }
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped(`answers 403 to ${action} when the session is deleted while its write waits`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        database.nextWrite = { _tag: "Before", run: () => database.sqlite.exec(`DELETE FROM "Session"`) }
        const response = yield* post("a1", "s1", action)
        assert.deepStrictEqual([response.statusCode, response.json()], [403, { error: "Forbidden" }])
        assert.deepStrictEqual(kept(database), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped(`answers 401 to ${action} without a token`, () =>
      Effect.gen(function* () {
        const { inject } = yield* TestServer
        assert.strictEqual((yield* inject({ method: "POST", url: `/v2/sessions/s1/${action}` })).statusCode, 401)
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("answers 503 when the write cannot be done now, after which the session may be alive", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      database.nextWrite = { _tag: "Fail", error: busy }
      assert.strictEqual((yield* post("a1", "s1", "archive")).statusCode, 503)
      assert.isNull(yield* archivedAtOf("s1"))
      yield* server.connect(agent("a1", "s1"))
      assert.deepInclude((yield* watching.next("ephemeral")) as object, { id: "s1", active: true })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces an archiving whose write was not confirmed once it is found", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      database.nextWrite = { _tag: "Lost", error: unconfirmed }
      const { archivedAt } = (yield* post("a1", "s1", "archive")).json<{ archivedAt: number }>()
      const { body } = (yield* watching.next("update")) as { readonly body: object }
      assert.deepInclude(body, { archivedAt })
      assert.strictEqual(yield* archivedAtOf("s1"), archivedAt)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("takes any body, and a label without one", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const { inject } = yield* TestServer
      for (const [label, payload] of [
        ["application/json", undefined],
        ["application/json", "{ no JSON"],
        ["text/csv", "a,b"]
      ]) {
        const headers = { ...authorized("a1"), "content-type": label }
        const request = { method: "POST" as const, url: "/v2/sessions/s1/archive", headers }
        const response = yield* inject(payload === undefined ? request : { ...request, payload })
        assert.strictEqual(response.statusCode, 200)
      }
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("POST /v2/sessions/:id/unarchive", () => {
  it.scoped("unarchives a session, and announces it to every device of the account", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      yield* post("a1", "s1", "archive")
      const watching = yield* server.connect(app("a1"))
      const response = yield* post("a1", "s1", "unarchive")
      assert.deepStrictEqual([response.statusCode, response.json()], [200, { success: true, archivedAt: null }])
      const update = (yield* watching.next("update")) as { readonly seq: number; readonly body: object }
      const body = { t: "update-session", id: "s1", sid: "s1", archivedAt: null }
      assert.deepStrictEqual([update.seq, update.body], [2, body])
      assert.deepStrictEqual(kept(database), [])
      assert.isNull(yield* archivedAtOf("s1"))
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers the same for a session that is not archived", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const response = yield* post("a1", "s1", "unarchive")
      assert.deepStrictEqual([response.statusCode, response.json()], [200, { success: true, archivedAt: null }])
    }).pipe(Effect.provide(layerWith()))
  )
})
