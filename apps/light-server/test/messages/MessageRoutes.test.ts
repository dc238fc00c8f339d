import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { LaneOverflow } from "presence-effect/writer/WriterError"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { audience, authorized, layerWith, TestServer } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, addTwoSessions)

const send = (accountId: string, sessionId: string, payload: object, headers: Record<string, string> = {}) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({
      method: "POST",
      url: `/v2/sessions/${sessionId}/messages`,
      headers: { ...authorized(accountId), ...headers },
      payload
    })
  )

const get = (accountId: string, url: string) =>
  Effect.flatMap(TestServer, ({ inject }) => inject({ method: "GET", url, headers: authorized(accountId) }))

interface Page {
  readonly messages: ReadonlyArray<{ readonly seq: number }>
  readonly hasMore: boolean
  readonly nextBeforeSeq: number | null
  readonly nextAfterSeq: number | null
}

const page = (query: string) =>
  Effect.map(get("a1", `/v1/sessions/s1/messages${query}`), (response) => {
    const { messages, ...rest } = response.json<Page>()
    return { seqs: messages.map(({ seq }) => seq), ...rest }
  })

describe("MessageRoutes", () => {
  describe("POST /v2/sessions/:id/messages", () => {
    it.scoped("stores a message and announces it", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const { watching, working, foreign } = yield* audience
        const response = yield* send("a1", "s1", { ciphertext: "sealed", localId: "l1" })
        assert.strictEqual(response.statusCode, 200)
        const { message } = response.json<{ message: Record<string, unknown> }>()
        assert.deepStrictEqual(response.json(), {
          message: { id: message["id"], seq: 1, localId: "l1", createdAt: message["createdAt"] }
        })
        for (const client of [watching, working]) {
          const update = (yield* client.next("update")) as { readonly seq: number; readonly body: object }
          assert.strictEqual(update.seq, 1)
          assert.deepStrictEqual(update.body, {
            t: "new-message",
            id: "s1",
            sid: "s1",
            message: {
              ...message,
              content: { t: "encrypted", c: "sealed" },
              updatedAt: message["createdAt"]
            }
          })
        }
        assert.deepStrictEqual(yield* foreign.rest("update"), [])
        assert.deepStrictEqual(database.writes, [Lane.data])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("uses the key of the request as the local id, unless the body has one", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const key = { "idempotency-key": "k1" }
        const first = yield* send("a1", "s1", { ciphertext: "one" }, key)
        const again = yield* send("a1", "s1", { ciphertext: "two" }, key)
        const named = yield* send("a1", "s1", { ciphertext: "three", localId: "l1" }, key)
        assert.deepStrictEqual(again.json(), first.json())
        assert.strictEqual(first.json<{ message: { localId: string } }>().message.localId, "k1")
        assert.deepInclude(named.json<{ message: object }>().message, { localId: "l1", seq: 2 })
        assert.strictEqual(database.query(`SELECT 1 FROM "SessionMessage"`).length, 2)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 404 for missing and foreign sessions, with the same body", () =>
      Effect.gen(function* () {
        yield* twoSessions
        for (const sessionId of ["s2", "s9"]) {
          const response = yield* send("a1", sessionId, { ciphertext: "sealed" })
          assert.strictEqual(response.statusCode, 404)
          assert.deepStrictEqual(response.json(), { error: "Session not found" })
        }
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 401 when the account of the token is gone", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        database.nextWrite = {
          _tag: "Before",
          run: () => database.sqlite.exec(`PRAGMA foreign_keys = OFF; DELETE FROM "Account" WHERE "id" = 'a1'`)
        }
        const response = yield* send("a1", "s1", { ciphertext: "sealed" })
        assert.strictEqual(response.statusCode, 401)
        assert.deepStrictEqual(database.query(`SELECT 1 FROM "SessionMessage"`), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 503 with Retry-After when the lane is full", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const error = new LaneOverflow({ lane: Lane.data, waiterCount: 1024, capacity: 1024 })
        database.nextWrite = { _tag: "Fail", error }
        const response = yield* send("a1", "s1", { ciphertext: "sealed", localId: "l1" })
        assert.strictEqual(response.statusCode, 503)
        assert.isDefined(response.headers["retry-after"])
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [what, payload, headers] of [
      ["no ciphertext", {}, {}],
      ["an empty ciphertext", { ciphertext: "" }, {}],
      ["a ciphertext that is no text", { ciphertext: {} }, {}],
      ["a local id that is no text", { ciphertext: "sealed", localId: 5 }, {}],
      ["a local id that is too long", { ciphertext: "sealed", localId: "l".repeat(257) }, {}],
      ["a key that is too long", { ciphertext: "sealed" }, { "idempotency-key": "k".repeat(257) }]
    ] as const) {
      it.scoped(`answers 400 for ${what}`, () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const response = yield* send("a1", "s1", payload, headers)
          assert.strictEqual(response.statusCode, 400)
          assert.isString(response.json<{ error: unknown }>().error)
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  describe("GET /v1/sessions/:id/messages", () => {
    it.scoped("reads a page in one statement", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s1", 3)
        yield* page("?limit=1")
        database.readCount = 0
        assert.deepStrictEqual((yield* page("?limit=2")).seqs, [3, 2])
        assert.strictEqual(database.readCount, 1)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers what can be read beside messages that cannot, and goes on after them", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s1", 6)
        database.sqlite.exec(`UPDATE "SessionMessage" SET "content" = '{ no JSON' WHERE "seq" IN (2, 4)`)
        assert.deepStrictEqual(yield* page("?afterSeq=0&limit=2"), {
          seqs: [1],
          hasMore: true,
          nextBeforeSeq: null,
          nextAfterSeq: 2
        })
        assert.deepStrictEqual((yield* page("?afterSeq=2&limit=2")).seqs, [3])
        assert.deepStrictEqual(yield* page("?beforeSeq=5&limit=1"), {
          seqs: [],
          hasMore: true,
          nextBeforeSeq: 4,
          nextAfterSeq: null
        })
        assert.deepStrictEqual((yield* page("")).seqs, [6, 5, 3, 1])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers messages as they are stored", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s1", 1)
        assert.deepStrictEqual((yield* get("a1", "/v1/sessions/s1/messages")).json(), {
          messages: [
            { id: "s1-m1", seq: 1, content: { t: "encrypted", c: "x" }, localId: "l1", createdAt: 1, updatedAt: 1 }
          ],
          hasMore: false,
          nextBeforeSeq: null,
          nextAfterSeq: null
        })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("pages to older messages, newest first, each once", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s1", 5)
        const end = { nextAfterSeq: null }
        assert.deepStrictEqual(yield* page("?limit=2"), { seqs: [5, 4], hasMore: true, nextBeforeSeq: 4, ...end })
        assert.deepStrictEqual(yield* page("?limit=2&beforeSeq=4"), {
          seqs: [3, 2],
          hasMore: true,
          nextBeforeSeq: 2,
          ...end
        })
        const last = { hasMore: false, nextBeforeSeq: null, ...end }
        assert.deepStrictEqual(yield* page("?limit=2&beforeSeq=2"), { seqs: [1], ...last })
        assert.deepStrictEqual(yield* page("?limit=5"), { seqs: [5, 4, 3, 2, 1], ...last })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("pages to newer messages, oldest first, each once", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s1", 5)
        const end = { nextBeforeSeq: null }
        assert.deepStrictEqual(yield* page("?limit=2&afterSeq=0"), {
          seqs: [1, 2],
          hasMore: true,
          nextAfterSeq: 2,
          ...end
        })
        const last = { hasMore: false, nextAfterSeq: null, ...end }
        assert.deepStrictEqual(yield* page("?limit=3&afterSeq=2"), { seqs: [3, 4, 5], ...last })
        assert.deepStrictEqual(yield* page("?limit=3&afterSeq=5"), { seqs: [], ...last })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 150 messages unless asked for more", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s1", 501)
        assert.strictEqual((yield* page("")).seqs.length, 150)
        assert.strictEqual((yield* page("?limit=500")).seqs.length, 500)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 404 for missing and foreign sessions", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s2", 1)
        for (const id of ["s2", "s9"]) {
          const response = yield* get("a1", `/v1/sessions/${id}/messages`)
          assert.strictEqual(response.statusCode, 404)
          assert.deepStrictEqual(response.json(), { error: "Session not found" })
        }
      }).pipe(Effect.provide(layerWith()))
    )

    for (const query of [
      "limit=0",
      "limit=501",
      "limit=x",
      "limit=",
      "beforeSeq=0",
      "beforeSeq=1.5",
      "afterSeq=-1",
      "afterSeq=x",
      "beforeSeq=1&afterSeq=1"
    ]) {
      it.scoped(`answers 400 for ${query}`, () =>
        Effect.gen(function* () {
          yield* twoSessions
          const response = yield* get("a1", `/v1/sessions/s1/messages?${query}`)
          assert.strictEqual(response.statusCode, 400)
          assert.deepInclude(response.json<object>(), { error: "Error", statusCode: 400 })
          assert.match(response.json<{ message: string }>().message, /^querystring/)
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  it.scoped("answers 401 without a token", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      const url = "/v1/sessions/s1/messages"
      assert.strictEqual((yield* inject({ method: "GET", url })).statusCode, 401)
      const posted = yield* inject({ method: "POST", url: "/v2/sessions/s1/messages", payload: { ciphertext: "x" } })
      assert.strictEqual(posted.statusCode, 401)
    }).pipe(Effect.provide(layerWith()))
  )
})
