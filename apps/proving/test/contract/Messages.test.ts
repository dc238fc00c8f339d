/**
 * Goal: messages get the numbers of their session, one each, whichever way and
 * however often they are sent, and are read back in pages.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const numbers = (messages: ReadonlyArray<{ readonly seq: number }>) => messages.map(({ seq }) => seq)

contract("Messages", (it) => {
  it.scoped("numbers the messages of a session in the order in which a socket sends them", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call } = yield* person()
      const { line, sid } = yield* agent
      const texts = Array.from({ length: 10 }, (_, index) => `text ${index}`)
      const acks = yield* Effect.forEach(texts, (message) => ask(line, "message", "ok", { sid, message }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(numbers(acks), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      assert.isTrue(acks.every(({ localId }) => localId === null))
      const { messages } = yield* call("GET /v1/sessions/:id/messages", 200, {
        params: { id: sid },
        query: { afterSeq: 0 }
      })
      assert.deepStrictEqual(
        messages.map(({ content }) => content),
        texts.map((c) => ({ t: "encrypted", c }))
      )
    })
  )

  it.scoped("stores a message once, over the socket and over HTTP", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call } = yield* person()
      const { line, sid } = yield* agent
      const payload = { sid, message: "text", localId: "mine" }
      const first = yield* ask(line, "message", "ok", payload)
      const again = yield* ask(line, "message", "ok", payload)
      assert.deepStrictEqual(first, again)
      const params = { id: sid }
      const body = { ciphertext: "text", localId: "mine" }
      const { message } = yield* call("POST /v2/sessions/:id/messages", 200, { params, body })
      assert.include(message, { id: first.id, seq: 1, localId: "mine" })

      const headers = { "idempotency-key": "key" }
      const keyed = { params, headers, body: { ciphertext: "other" } }
      const one = yield* call("POST /v2/sessions/:id/messages", 200, keyed)
      const two = yield* call("POST /v2/sessions/:id/messages", 200, keyed)
      assert.deepStrictEqual(one, two)
      assert.include(one.message, { seq: 2, localId: "key" })
      const named = yield* call("POST /v2/sessions/:id/messages", 200, { ...keyed, body })
      assert.strictEqual(named.message.id, first.id, "a local id counts more than the key of the request")
    })
  )

  it.scoped("refuses malformed messages, and sessions of others", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, sid } = yield* owner.agent
      const foreign = yield* stranger.app
      const params = { id: sid }
      for (const wrong of [null, { sid }, { sid, message: "" }, { sid: 1, message: "m" }]) {
        yield* ask(line, "message", "invalid-params", wrong)
      }
      yield* ask(foreign, "message", "session-not-found", { sid, message: "m" })
      yield* ask(line, "message", "session-not-found", { sid: "none", message: "m" })
      for (const body of [{}, { ciphertext: "" }, { ciphertext: "c", localId: "x".repeat(257) }]) {
        yield* owner.call("POST /v2/sessions/:id/messages", 400, { params, body })
      }
      const headers = { "idempotency-key": "x".repeat(257) }
      const body = { ciphertext: "c" }
      const { error } = yield* owner.call("POST /v2/sessions/:id/messages", 400, { params, headers, body })
      assert.strictEqual(error, "Invalid parameters")
      yield* stranger.call("POST /v2/sessions/:id/messages", 404, { params, body })
      yield* stranger.call("GET /v1/sessions/:id/messages", 404, { params })
      assert.deepStrictEqual((yield* owner.call("GET /v1/sessions/:id/messages", 200, { params })).messages, [])
    })
  )

  it.scoped("reads the newest messages first, the ones before a number, and in order the ones after one", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call } = yield* person()
      const { line, sid } = yield* agent
      yield* Effect.forEach([1, 2, 3, 4, 5], (n) => ask(line, "message", "ok", { sid, message: `text ${n}` }))
      const params = { id: sid }
      const page = (query: { readonly [name: string]: number }) =>
        Effect.map(call("GET /v1/sessions/:id/messages", 200, { params, query }), ({ messages, ...rest }) => ({
          numbers: numbers(messages),
          ...rest
        }))
      const end = { hasMore: false, nextBeforeSeq: null, nextAfterSeq: null }
      assert.deepStrictEqual(yield* page({}), { numbers: [5, 4, 3, 2, 1], ...end })
      const newest = { numbers: [5, 4], hasMore: true, nextBeforeSeq: 4, nextAfterSeq: null }
      assert.deepStrictEqual(yield* page({ limit: 2 }), newest)
      assert.deepStrictEqual(yield* page({ limit: 3, beforeSeq: 4 }), { numbers: [3, 2, 1], ...end })
      const next = { numbers: [3, 4], hasMore: true, nextBeforeSeq: null, nextAfterSeq: 4 }
      assert.deepStrictEqual(yield* page({ limit: 2, afterSeq: 2 }), next)
      assert.deepStrictEqual(yield* page({ afterSeq: 4 }), { numbers: [5], ...end })
      assert.deepStrictEqual(yield* page({ afterSeq: 5 }), { numbers: [], ...end })
      for (const query of [{ limit: 0 }, { limit: 501 }, { beforeSeq: 1, afterSeq: 1 }, { beforeSeq: 0 }]) {
        yield* call("GET /v1/sessions/:id/messages", 400, { params, query })
      }
    })
  )

  it.scoped("returns 150 messages by default, and 500 at most", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const { agent, call } = yield* person()
      const { line, sid } = yield* agent
      const texts = Array.from({ length: 151 }, (_, index) => `text ${index}`)
      // As many as one socket may have under way.
      yield* Effect.forEach(texts, (message) => ask(line, "message", "ok", { sid, message }), { concurrency: 50 })
      const params = { id: sid }
      const read = (query: { readonly [name: string]: number }) =>
        call("GET /v1/sessions/:id/messages", 200, { params, query })
      const some = yield* read({})
      assert.deepStrictEqual([some.messages.length, some.hasMore], [150, true])
      const all = yield* read({ limit: 500 })
      assert.deepStrictEqual([all.messages.length, all.hasMore], [151, false])
    })
  )

  it.scoped("stores a batch once, with one number after the other, and answers old and new messages together", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, sid } = yield* owner.agent
      const params = { id: sid }
      const batch = (...localIds: ReadonlyArray<string>) => ({
        params,
        body: { messages: localIds.map((localId) => ({ content: `text ${localId}`, localId })) }
      })
      const send = (...localIds: ReadonlyArray<string>) =>
        Effect.map(owner.call("POST /v3/sessions/:id/messages", 200, batch(...localIds)), ({ messages }) => messages)
      const single = yield* ask(line, "message", "ok", { sid, message: "single", localId: "a" })
      const first = yield* send("b", "c", "b", "a")
      assert.deepStrictEqual(
        first.map(({ localId, seq }) => [seq, localId]),
        [
          [1, "a"],
          [2, "b"],
          [3, "c"]
        ]
      )
      assert.strictEqual(first[0]?.id, single.id)
      assert.deepStrictEqual(yield* send("c", "a", "b"), first)
      const [one, two] = yield* Effect.all([send("e", "f"), send("f", "e", "a")], { concurrency: "unbounded" })
      assert.deepStrictEqual(two.slice(1), one, "of batches at the same time one stores what both bring")
      // The sender receives what it sent over HTTP, like messages of others.
      const heard = yield* Effect.forEach(["b", "c"], (localId) =>
        line.until(({ event, payload }) => event === "update" && payload.body.message?.localId === localId)
      )
      assert.deepStrictEqual(
        heard.map(({ payload }) => payload.body.message.seq),
        [2, 3]
      )
      const many = Array.from({ length: 100 }, (_, index) => `many ${index}`)
      assert.deepStrictEqual(
        numbers(yield* send(...many)),
        many.map((_, index) => index + 6)
      )
      yield* stranger.call("POST /v3/sessions/:id/messages", 404, batch("d"))
      yield* owner.call("POST /v3/sessions/:id/messages", 400, batch(...many, "one too many"))
      yield* owner.call("POST /v3/sessions/:id/messages", 400, batch(""))
      yield* owner.call("POST /v3/sessions/:id/messages", 400, batch())
    })
  )

  it.scoped("reads forward from the first message on, and backward from a number", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { line, sid } = yield* owner.agent
      yield* Effect.forEach([1, 2, 3, 4, 5], (n) => ask(line, "message", "ok", { sid, message: `text ${n}` }))
      const params = { id: sid }
      const slice = (query: { readonly [name: string]: number }) =>
        Effect.map(owner.call("GET /v3/sessions/:id/messages", 200, { params, query }), ({ hasMore, messages }) => [
          ...numbers(messages),
          hasMore
        ])
      assert.deepStrictEqual(yield* slice({}), [1, 2, 3, 4, 5, false])
      assert.deepStrictEqual(yield* slice({ limit: 2, after_seq: 2 }), [3, 4, true])
      assert.deepStrictEqual(yield* slice({ after_seq: 5 }), [false])
      assert.deepStrictEqual(yield* slice({ limit: 2, before_seq: 5 }), [4, 3, true])
      assert.deepStrictEqual(yield* slice({ before_seq: 3 }), [2, 1, false])
      const both = { params, query: { after_seq: 1, before_seq: 3 } }
      const { error } = yield* owner.call("GET /v3/sessions/:id/messages", 400, both)
      assert.strictEqual(error, "Cannot specify both after_seq and before_seq")
      for (const query of [{ limit: 0 }, { limit: 501 }, { before_seq: 0 }, { after_seq: -1 }]) {
        yield* owner.call("GET /v3/sessions/:id/messages", 400, { params, query })
      }
      yield* stranger.call("GET /v3/sessions/:id/messages", 404, { params })
    })
  )
})
