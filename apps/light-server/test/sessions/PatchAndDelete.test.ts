import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PresenceProbe from "../support/PresenceProbe.ts"
import { addMessages, addSession, addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, audience, authorized, layerOver, layerWith, TestServer } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, addTwoSessions)

const unconfirmed = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 1000 })

const patch = (accountId: string, id: string, payload: object) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "PATCH", url: `/v2/sessions/${id}`, headers: authorized(accountId), payload })
  )

const remove = (accountId: string, id: string) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "DELETE", url: `/v1/sessions/${id}`, headers: authorized(accountId) })
  )

const sealed = (ciphertext: string | null, expectedVersion: number) => ({ ciphertext, expectedVersion })

const versions = (database: Pick<TestDatabase["Type"], "query">) =>
  database.query(
    `SELECT "metadata", "metadataVersion" AS mv, "agentState", "agentStateVersion" AS sv
     FROM "Session" WHERE "id" = 's1'`
  )[0]

const countOf = (database: Pick<TestDatabase["Type"], "query">, table: string) =>
  database.query(`SELECT 1 FROM "${table}"`).length

const onFile = layerOver(Layer.merge(FileDatabase.layer, PresenceProbe.layer))

describe("PATCH /v2/sessions/:id", () => {
  it.scoped("replaces both texts in one write, and announces both at once", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const { watching, working, foreign } = yield* audience
      const response = yield* patch("a1", "s1", { metadata: sealed("m1", 0), agentState: sealed("s1", 0) })
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), { success: true, metadata: { version: 1 }, agentState: { version: 1 } })
      for (const client of [watching, working]) {
        const update = (yield* client.next("update")) as { readonly seq: number; readonly body: object }
        assert.strictEqual(update.seq, 1)
        assert.deepStrictEqual(update.body, {
          t: "update-session",
          id: "s1",
          sid: "s1",
          metadata: { value: "m1", version: 1 },
          agentState: { value: "s1", version: 1 }
        })
      }
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
      assert.deepStrictEqual(versions(database), { metadata: "m1", mv: 1, agentState: "s1", sv: 1 })
      assert.deepStrictEqual(database.writes, [Lane.data])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("replaces one text and leaves the other", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const state = yield* patch("a1", "s1", { agentState: sealed("s1", 0) })
      assert.deepStrictEqual(state.json(), { success: true, agentState: { version: 1 } })
      const cleared = yield* patch("a1", "s1", { agentState: sealed(null, 1) })
      assert.deepStrictEqual(cleared.json(), { success: true, agentState: { version: 2 } })
      assert.deepStrictEqual(versions(database), { metadata: "sealed", mv: 0, agentState: null, sv: 2 })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("replaces none of two texts when one is at another version, and answers the current ones", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const response = yield* patch("a1", "s1", { metadata: sealed("m1", 0), agentState: sealed("s1", 3) })
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), {
        success: false,
        error: "version-mismatch",
        metadata: { version: 0, value: "sealed" },
        agentState: { version: 0, value: null }
      })
      assert.deepStrictEqual(versions(database), { metadata: "sealed", mv: 0, agentState: null, sv: 0 })
      const single = yield* patch("a1", "s1", { metadata: sealed("m1", 1) })
      assert.deepStrictEqual(single.json(), {
        success: false,
        error: "version-mismatch",
        metadata: { version: 0, value: "sealed" }
      })
      assert.deepStrictEqual(yield* watching.rest("update"), [])
      assert.strictEqual(countOf(database, "AccountChange"), 0)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 404 for missing and foreign sessions, without a write", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      for (const id of ["s2", "s9"]) {
        const response = yield* patch("a1", id, { metadata: sealed("m", 0) })
        assert.strictEqual(response.statusCode, 404)
        assert.deepStrictEqual(response.json(), { error: "Session not found" })
      }
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 503 when the write cannot be done now", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      database.nextWrite = { _tag: "Fail", error: new PermitTimeout({ lane: Lane.data, waitedMillis: 1500 }) }
      assert.strictEqual((yield* patch("a1", "s1", { metadata: sealed("m", 0) })).statusCode, 503)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces texts whose write was not confirmed once they are found, to all but their sender", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const working = yield* server.connect(agent("a1", "s1"))
      database.nextWrite = { _tag: "Lost", error: unconfirmed }
      const both = { metadata: sealed("m1", 0), agentState: sealed("s1", 0) }
      const replaced = { success: true, metadata: { version: 1 }, agentState: { version: 1 } }
      assert.deepStrictEqual((yield* patch("a1", "s1", both)).json(), replaced)
      assert.deepInclude((yield* watching.next("update")) as object, { seq: 1 })
      yield* working.next("update")

      let commit: Option.Option<Effect.Effect<void>> = Option.none()
      database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = Option.some(effect)) }
      const state = { sid: "s1", agentState: "s2", expectedVersion: 1 }
      const asked = yield* Effect.fork(working.ask("update-state", state))
      const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      while (Option.isNone(commit)) yield* turn
      yield* commit.value
      while (Option.isNone(yield* Fiber.poll(asked))) yield* Effect.zipRight(TestClock.adjust("100 millis"), turn)
      const success = { result: "success", version: 2, agentState: "s2" }
      assert.deepStrictEqual(yield* Fiber.join(asked), success)
      const update = (yield* watching.next("update")) as { readonly seq: number; readonly body: object }
      assert.strictEqual(update.seq, 2)
      assert.deepInclude(update.body, { agentState: { value: "s2", version: 2 } })
      assert.deepStrictEqual(yield* working.rest("update"), [])
      const late = yield* working.ask("update-state", state)
      assert.deepStrictEqual(late, { result: "version-mismatch", version: 2, agentState: "s2" })
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [what, payload] of [
    ["nothing to replace", {}],
    ["metadata without a version", { metadata: { ciphertext: "m" } }],
    ["metadata that is null", { metadata: sealed(null, 0) }],
    ["a negative version", { metadata: sealed("m", -1) }],
    ["a version that is no number", { agentState: { ciphertext: "s", expectedVersion: "0" } }],
    ["a state that is no text", { agentState: { ciphertext: 5, expectedVersion: 0 } }]
  ] as const) {
    it.scoped(`answers 400 for ${what}`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const response = yield* patch("a1", "s1", payload)
        assert.strictEqual(response.statusCode, 400)
        assert.isString(response.json<{ error: unknown }>().error)
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it("replaces with three statements in one write, one text or two", () => {
    const metadata = { text: "metadata", value: "m", expectedVersion: 0 } as const
    const agentState = { text: "agentState", value: "s", expectedVersion: 0 } as const
    const cases: ReadonlyArray<SessionStore.Replacement["changes"]> = [[metadata], [agentState], [metadata, agentState]]
    for (const changes of cases) {
      const { statements } = SessionStore.replaceWrite({ accountId: "a1", id: "s1", changes }, 7)
      assert.strictEqual(statements.length, 3)
    }
  })

  it.scopedLive("loses no update of many writers that add to what they read", () =>
    Effect.gen(function* () {
      const database = yield* Effect.tap(FileDatabase.FileDatabase, addTwoSessions)
      const { connect } = yield* TestServer
      const sockets = yield* Effect.forEach([1, 2], () => connect(agent("a1", "s1")))
      interface Current {
        readonly version: number
        readonly value: string
      }
      const overSocket = (socket: (typeof sockets)[number]) => (value: string, expectedVersion: number) =>
        Effect.map(socket.ask("update-metadata", { sid: "s1", metadata: value, expectedVersion }), (ack) => {
          const { result, version, metadata } = ack as { result: string; version: number; metadata: string }
          return { isReplaced: result === "success", current: { version, value: metadata } }
        })
      const overHttp = (value: string, expectedVersion: number) =>
        Effect.map(patch("a1", "s1", { metadata: sealed(value, expectedVersion) }), (response) => {
          const { success, metadata } = response.json<{ success: boolean; metadata: Current }>()
          return { isReplaced: success, current: metadata }
        })
      const writers = [overHttp, overHttp, ...sockets.map(overSocket)]
      yield* Effect.forEach(
        writers,
        (replace, writer) =>
          Effect.gen(function* () {
            let current: Current = { version: 0, value: "sealed" }
            for (let count = 0; count < 8;) {
              const value = `${current.value},${writer}.${count}`
              const outcome = yield* replace(value, current.version)
              if (outcome.isReplaced) count += 1
              current = outcome.isReplaced ? { version: outcome.current.version, value } : outcome.current
            }
          }),
        { concurrency: "unbounded" }
      )
      const { metadata, mv } = versions(database) as { readonly metadata: string; readonly mv: number }
      assert.strictEqual(mv, 32)
      const added = metadata.split(",").slice(1)
      assert.sameMembers(
        added,
        writers.flatMap((_, writer) => Array.from({ length: 8 }, (_, count) => `${writer}.${count}`))
      )
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 32 }])
    }).pipe(Effect.provide(onFile))
  )
})

describe("DELETE /v1/sessions/:id", () => {
  const report = (database: TestDatabase["Type"], id: string, sessionId: string | null) =>
    database.sqlite
      .prepare(
        `INSERT INTO "UsageReport" ("id", "key", "accountId", "sessionId", "data", "createdAt", "updatedAt")
         VALUES (?, 'k', 'a1', ?, '{}', 5, 5)`
      )
      .run(id, sessionId)

  it.scoped("deletes the session with its messages and reports in one write, and announces it to the apps", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const probe = yield* PresenceProbe.PresenceProbe
      const server = yield* TestServer
      addSession(database, "a1", "s3")
      addMessages(database, "s1", 3)
      addMessages(database, "s3", 2)
      report(database, "u1", "s1")
      report(database, "u2", "s3")
      report(database, "u3", null)
      const mine = yield* server.connect(app("a1"))
      const foreign = yield* server.connect(app("a2"))
      const response = yield* remove("a1", "s1")
      assert.strictEqual(response.statusCode, 200)
      assert.deepStrictEqual(response.json(), { success: true })
      const update = (yield* mine.next("update")) as { readonly seq: number; readonly body: object }
      assert.strictEqual(update.seq, 1)
      assert.deepStrictEqual(update.body, { t: "delete-session", id: "s1", sid: "s1" })
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
      assert.deepStrictEqual(database.query(`SELECT "id" FROM "Session" ORDER BY "id"`), [{ id: "s2" }, { id: "s3" }])
      assert.deepStrictEqual([countOf(database, "SessionMessage"), countOf(database, "UsageReport")], [2, 2])
      assert.deepStrictEqual(
        database.query(`SELECT "kind", "entityId", "cursor", "sessionId", "hint" FROM "AccountChange"`),
        [{ kind: "session", entityId: "s1", cursor: 1, sessionId: null, hint: null }]
      )
      assert.deepStrictEqual(database.writes, [Lane.control])
      assert.include(probe.calls, "forget session s1")
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("leaves nothing that answers to the deleted session", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const working = yield* server.connect(agent("a1", "s1"))
      yield* working.ask("message", { sid: "s1", message: "sealed" })
      yield* remove("a1", "s1")
      assert.strictEqual((yield* remove("a1", "s1")).statusCode, 404)
      assert.strictEqual((yield* patch("a1", "s1", { metadata: sealed("m", 0) })).statusCode, 404)
      const ack = yield* working.ask("message", { sid: "s1", message: "sealed" })
      assert.deepStrictEqual(ack, { ok: false, error: "session-not-found" })
      const state = yield* working.ask("update-state", { sid: "s1", agentState: "s", expectedVersion: 0 })
      assert.deepStrictEqual(state, { result: "forbidden" })
      const watching = yield* server.connect(app("a1"))
      working.emit("session-alive", { sid: "s1", time: Date.now() })
      yield* working.flush
      assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
      assert.strictEqual(countOf(database, "SessionMessage"), 0)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers 404 for missing and foreign sessions, and deletes nothing", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      addMessages(database, "s2", 2)
      for (const id of ["s2", "s9"]) {
        const response = yield* remove("a1", id)
        assert.strictEqual(response.statusCode, 404)
        assert.deepStrictEqual(response.json(), { error: "Session not found" })
      }
      assert.deepStrictEqual([countOf(database, "Session"), countOf(database, "SessionMessage")], [2, 2])
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("deletes a long session in pieces, none of them long", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      addMessages(database, "s1", 2500)
      addMessages(database, "s2", 1)
      assert.strictEqual((yield* remove("a1", "s1")).statusCode, 200)
      assert.deepStrictEqual(database.writes, [Lane.control, Lane.maintenance, Lane.maintenance, Lane.maintenance])
      assert.deepStrictEqual([countOf(database, "Session"), countOf(database, "SessionMessage")], [1, 1])
    }).pipe(Effect.provide(layerWith()))
  )

  for (const [what, count] of [
    ["short", 3],
    ["long", 1001]
  ] as const) {
    it.scoped(`announces the deletion of a ${what} session whose write was not confirmed once it is gone`, () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        addMessages(database, "s1", count)
        let commit: Effect.Effect<void> = Effect.void
        database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = effect) }
        assert.strictEqual((yield* remove("a1", "s1")).statusCode, 503)
        assert.deepStrictEqual(yield* watching.rest("update"), [])
        yield* commit
        assert.strictEqual((yield* remove("a1", "s1")).statusCode, 200)
        const update = (yield* watching.next("update")) as { readonly seq: number; readonly body: object }
        assert.deepStrictEqual([update.seq, update.body], [1, { t: "delete-session", id: "s1", sid: "s1" }])
        assert.strictEqual((yield* remove("a1", "s1")).statusCode, 404)
        assert.deepStrictEqual(yield* watching.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("deletes what other servers of the file keep about the session", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      database.sqlite.exec(
        `CREATE TABLE "OtherServerKey" ("id" TEXT PRIMARY KEY, "sessionId" TEXT NOT NULL,
           FOREIGN KEY ("sessionId") REFERENCES "Session" ("id") ON DELETE RESTRICT);
         INSERT INTO "OtherServerKey" VALUES ('k1', 's1'), ('k2', 's2')`
      )
      assert.strictEqual((yield* remove("a1", "s1")).statusCode, 200)
      assert.deepStrictEqual(database.query(`SELECT "id" FROM "OtherServerKey"`), [{ id: "k2" }])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scopedLive("has one of two outcomes for messages that are sent meanwhile: stored and deleted, or refused", () =>
    Effect.gen(function* () {
      const database = yield* Effect.tap(FileDatabase.FileDatabase, addTwoSessions)
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const senders = yield* Effect.forEach([1, 2, 3], () => server.connect(agent("a1", "s1")))
      const [acks, response] = yield* Effect.all(
        [
          Effect.forEach(
            Array.from({ length: 30 }, (_, index) => index),
            (index) => (senders[index % 3] ?? watching).ask("message", { sid: "s1", message: "sealed" }),
            { concurrency: "unbounded" }
          ),
          remove("a1", "s1")
        ],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(response.statusCode, 200)
      const stored = acks.filter((ack) => (ack as { readonly ok: boolean }).ok).length
      for (const ack of acks) {
        if (!(ack as { readonly ok: boolean }).ok) {
          assert.deepStrictEqual(ack, { ok: false, error: "session-not-found" })
        }
      }
      assert.strictEqual(countOf(database, "SessionMessage"), 0)
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: stored + 1 }])
    }).pipe(Effect.provide(onFile))
  )

  it.scoped("answers 401 without a token", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      for (const [method, url] of [
        ["PATCH", "/v2/sessions/s1"],
        ["DELETE", "/v1/sessions/s1"]
      ] as const) {
        assert.strictEqual((yield* inject({ method, url, payload: {} })).statusCode, 401)
      }
    }).pipe(Effect.provide(layerWith()))
  )
})
