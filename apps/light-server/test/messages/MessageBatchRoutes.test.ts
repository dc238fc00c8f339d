import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, audience, authorized, layerWith, TestServer } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, addTwoSessions)

const unconfirmed = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 500 })
const busy = new PermitTimeout({ lane: Lane.data, waitedMillis: 1000 })

const url = (sessionId: string) => `/v3/sessions/${sessionId}/messages`

const post = (accountId: string, sessionId: string, payload: unknown) =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "POST", url: url(sessionId), headers: authorized(accountId), payload: payload as object })
  )

const batchOf = (...localIds: ReadonlyArray<string>) => ({
  messages: localIds.map((localId) => ({ content: `text of ${localId}`, localId }))
})

interface Receipt {
  readonly id: string
  readonly seq: number
  readonly localId: string
}

const send = (...localIds: ReadonlyArray<string>) =>
  Effect.map(post("a1", "s1", batchOf(...localIds)), (response) => {
    assert.strictEqual(response.statusCode, 200)
    return response.json<{ messages: ReadonlyArray<Receipt> }>().messages
  })

const shown = (receipts: ReadonlyArray<Receipt>) => receipts.map(({ localId, seq }) => `${seq} ${localId}`)

const storedRows = Effect.map(TestDatabase, ({ query }) =>
  query(`SELECT "seq", "localId", json_extract("content", '$.c') AS "c" FROM "SessionMessage" ORDER BY "seq"`).map(
    ({ c, localId, seq }) => `${seq} ${localId} ${c}`
  )
)

const get = (query: string, accountId = "a1", sessionId = "s1") =>
  Effect.flatMap(TestServer, ({ inject }) =>
    inject({ method: "GET", url: `${url(sessionId)}${query}`, headers: authorized(accountId) })
  )

const page = (query: string) =>
  Effect.map(get(query), (response) => {
    const { messages, ...rest } = response.json<{ messages: ReadonlyArray<{ seq: number }>; hasMore: boolean }>()
    return { seqs: messages.map(({ seq }) => seq), ...rest }
  })

describe("MessageBatchRoutes", () => {
  describe("POST /v3/sessions/:id/messages", () => {
    it.scoped("stores a batch in one write, in order, and announces each message", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const { watching, working, foreign } = yield* audience
        const response = yield* post("a1", "s1", batchOf("l1", "l2", "l3"))
        assert.strictEqual(response.statusCode, 200)
        const { messages } = response.json<{ messages: ReadonlyArray<Record<string, unknown>> }>()
        assert.deepStrictEqual(
          messages,
          messages.map(({ createdAt, id }, index) => ({
            id,
            seq: index + 1,
            localId: `l${index + 1}`,
            createdAt,
            updatedAt: createdAt
          }))
        )
        assert.lengthOf(messages, 3)
        assert.deepStrictEqual(database.writes, [Lane.data])
        for (const client of [watching, working]) {
          for (const message of messages) {
            const update = (yield* client.next("update")) as { readonly seq: number; readonly body: object }
            assert.strictEqual(update.seq, message["seq"])
            const content = { t: "encrypted", c: `text of ${message["localId"]}` }
            assert.deepStrictEqual(update.body, {
              t: "new-message",
              id: "s1",
              sid: "s1",
              message: { ...message, content }
            })
          }
          assert.deepStrictEqual(yield* client.rest("update"), [])
        }
        assert.deepStrictEqual(yield* foreign.rest("update"), [])
        assert.deepStrictEqual(yield* storedRows, ["1 l1 text of l1", "2 l2 text of l2", "3 l3 text of l3"])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers old and new messages together by their number, and stores and announces only the new ones", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const first = yield* send("l1", "l2")
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const second = yield* send("l4", "l2", "l3", "l1")
        assert.deepStrictEqual(shown(second), ["1 l1", "2 l2", "3 l4", "4 l3"])
        assert.deepStrictEqual(second.slice(0, 2), first)
        assert.lengthOf(yield* watching.rest("update"), 2)
        database.writes.length = 0
        assert.deepStrictEqual(yield* send("l1", "l2", "l3", "l4"), second)
        assert.deepStrictEqual(database.writes, [])
        assert.deepStrictEqual(yield* watching.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("takes the first of several messages with one local id", () =>
      Effect.gen(function* () {
        yield* twoSessions
        const messages = ["one", "two", "three"].map((content, index) => ({
          content,
          localId: index < 2 ? "l1" : "l2"
        }))
        const response = yield* post("a1", "s1", { messages })
        assert.deepStrictEqual(shown(response.json<{ messages: ReadonlyArray<Receipt> }>().messages), ["1 l1", "2 l2"])
        assert.deepStrictEqual(yield* storedRows, ["1 l1 one", "2 l2 three"])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("compares local ids within the session only", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s2", 3)
        assert.deepStrictEqual(shown(yield* send("l1", "l2")), ["1 l1", "2 l2"])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("tries again when a local id is stored after it was looked for", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        database.nextWrite = { _tag: "Before", run: () => addMessages(database, "s1", 2) }
        assert.deepStrictEqual(shown(yield* send("new", "l2")), ["2 l2", "3 new"])
        assert.deepStrictEqual(database.writes, [Lane.data, Lane.data])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("announces messages whose write was not confirmed when they are sent again, once", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        database.nextWrite = { _tag: "Lost", error: unconfirmed }
        const lost = yield* post("a1", "s1", batchOf("l1", "l2"))
        assert.strictEqual(lost.statusCode, 503)
        assert.deepStrictEqual(yield* watching.rest("update"), [])
        const found = yield* send("l1", "l2")
        assert.deepStrictEqual(shown(found), ["1 l1", "2 l2"])
        const updates = (yield* watching.rest("update")) as ReadonlyArray<{ body: { message: Receipt } }>
        assert.deepStrictEqual(
          updates.map(({ body: { message } }) => message.id),
          found.map(({ id }) => id)
        )
        yield* send("l1", "l2")
        assert.deepStrictEqual(yield* watching.rest("update"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("stores nothing of a batch that cannot be written, and answers when to come back", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        database.nextWrite = { _tag: "Fail", error: busy }
        const response = yield* post("a1", "s1", batchOf("l1", "l2"))
        assert.strictEqual(response.statusCode, 503)
        assert.isDefined(response.headers["retry-after"])
        assert.deepStrictEqual(yield* storedRows, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 404 for missing, foreign and deleted sessions", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        for (const sessionId of ["s2", "s9"]) {
          const response = yield* post("a1", sessionId, batchOf("l1"))
          assert.strictEqual(response.statusCode, 404)
          assert.deepStrictEqual(response.json(), { error: "Session not found" })
        }
        database.nextWrite = {
          _tag: "Before",
          run: () => database.sqlite.exec(`DELETE FROM "Session" WHERE "id" = 's1'`)
        }
        assert.strictEqual((yield* post("a1", "s1", batchOf("l1"))).statusCode, 404)
        assert.deepStrictEqual(yield* storedRows, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 401 when the account of the token is gone", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        database.nextWrite = {
          _tag: "Before",
          run: () => database.sqlite.exec(`PRAGMA foreign_keys = OFF; DELETE FROM "Account" WHERE "id" = 'a1'`)
        }
        assert.strictEqual((yield* post("a1", "s1", batchOf("l1"))).statusCode, 401)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("takes 100 messages and a body of megabytes", () =>
      Effect.gen(function* () {
        yield* twoSessions
        const messages = Array.from({ length: 100 }, (_, index) => ({
          content: "x".repeat(75_000),
          localId: `l${index}`
        }))
        assert.strictEqual((yield* post("a1", "s1", { messages })).statusCode, 200)
        assert.lengthOf(yield* storedRows, 100)
        const content = "x".repeat(8_000_000)
        const tooLarge = yield* post("a1", "s1", { messages: [{ content, localId: "large" }] })
        assert.strictEqual(tooLarge.statusCode, 413)
      }).pipe(Effect.provide(layerWith()))
    )

    for (const [what, payload] of [
      ["no messages", {}],
      ["an empty batch", { messages: [] }],
      ["more than 100 messages", batchOf(...Array.from({ length: 101 }, (_, index) => `l${index}`))],
      ["a message without a local id", { messages: [{ content: "sealed" }] }],
      ["an empty local id", batchOf("")],
      ["a local id that is too long", batchOf("l".repeat(257))],
      ["an empty content", { messages: [{ content: "", localId: "l1" }] }],
      ["one wrong message beside a right one", { messages: [...batchOf("l1").messages, { localId: "l2" }] }]
    ] as const) {
      it.scoped(`answers 400 for ${what}`, () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const response = yield* post("a1", "s1", payload)
          assert.strictEqual(response.statusCode, 400)
          assert.match(response.json<{ message: string }>().message, /^body/)
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  describe("GET /v3/sessions/:id/messages", () => {
    it.scoped("answers messages as they are stored, and whether there are more", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s1", 1)
        assert.deepStrictEqual((yield* get("")).json(), {
          messages: [
            { id: "s1-m1", seq: 1, content: { t: "encrypted", c: "x" }, localId: "l1", createdAt: 1, updatedAt: 1 }
          ],
          hasMore: false
        })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("pages forward from the first message on, and backward from a number", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s1", 5)
        assert.deepStrictEqual(yield* page("?limit=2"), { seqs: [1, 2], hasMore: true })
        assert.deepStrictEqual(yield* page("?limit=2&after_seq=2"), { seqs: [3, 4], hasMore: true })
        assert.deepStrictEqual(yield* page("?limit=2&after_seq=4"), { seqs: [5], hasMore: false })
        assert.deepStrictEqual(yield* page("?after_seq=5"), { seqs: [], hasMore: false })
        assert.deepStrictEqual(yield* page("?limit=2&before_seq=6"), { seqs: [5, 4], hasMore: true })
        assert.deepStrictEqual(yield* page("?limit=3&before_seq=4"), { seqs: [3, 2, 1], hasMore: false })
        assert.deepStrictEqual(yield* page("?before_seq=1"), { seqs: [], hasMore: false })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 100 messages unless asked for more, and 1 MB at most", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s1", 501)
        addMessages(database, "s2", 12, 100_000)
        assert.deepStrictEqual((yield* page("")).seqs.length, 100)
        assert.deepStrictEqual((yield* page("?limit=500")).seqs.length, 500)
        const large = (yield* get("", "a2", "s2")).json<{ messages: ReadonlyArray<unknown>; hasMore: boolean }>()
        assert.deepStrictEqual([large.messages.length, large.hasMore], [10, true])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("reads on past messages that cannot be read, in both directions", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        addMessages(database, "s1", 6)
        database.sqlite.exec(`UPDATE "SessionMessage" SET "content" = '{ no JSON' WHERE "seq" IN (3, 4)`)
        assert.deepStrictEqual(yield* page("?after_seq=2&limit=1"), { seqs: [5], hasMore: true })
        assert.deepStrictEqual(yield* page("?before_seq=5&limit=1"), { seqs: [2], hasMore: true })
        database.sqlite.exec(`UPDATE "SessionMessage" SET "content" = '{ no JSON'`)
        assert.deepStrictEqual(yield* page("?limit=1"), { seqs: [], hasMore: false })
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 404 for missing and foreign sessions", () =>
      Effect.gen(function* () {
        addMessages(yield* twoSessions, "s2", 1)
        for (const id of ["s2", "s9"]) {
          const response = yield* get("", "a1", id)
          assert.deepStrictEqual([response.statusCode, response.json()], [404, { error: "Session not found" }])
        }
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("answers 400 for both directions at once", () =>
      Effect.gen(function* () {
        yield* twoSessions
        const response = yield* get("?after_seq=1&before_seq=3")
        assert.strictEqual(response.statusCode, 400)
        assert.deepStrictEqual(response.json(), { error: "Cannot specify both after_seq and before_seq" })
      }).pipe(Effect.provide(layerWith()))
    )

    for (const query of ["limit=0", "limit=501", "before_seq=0", "after_seq=-1", "after_seq=x", "before_seq=1.5"]) {
      it.scoped(`answers 400 for ${query}`, () =>
        Effect.gen(function* () {
          yield* twoSessions
          const response = yield* get(`?${query}`)
          assert.strictEqual(response.statusCode, 400)
          assert.match(response.json<{ message: string }>().message, /^querystring/)
        }).pipe(Effect.provide(layerWith()))
      )
    }
  })

  it.scoped("answers 401 without a token", () =>
    Effect.gen(function* () {
      const { inject } = yield* TestServer
      assert.strictEqual((yield* inject({ method: "GET", url: url("s1") })).statusCode, 401)
      const posted = yield* inject({ method: "POST", url: url("s1"), payload: batchOf("l1") })
      assert.strictEqual(posted.statusCode, 401)
    }).pipe(Effect.provide(layerWith()))
  )
})
