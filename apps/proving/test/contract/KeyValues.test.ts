/**
 * Goal: small values under plain keys, which devices of an account change in batches without losing each other's.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, overhear, Wire } from "../../src/contract/Wire.ts"

const base64 = (text: string) => Buffer.from(text).toString("base64")

const mutation = (key: string, value: string | null, version: number) => ({
  key,
  value: value === null ? null : base64(value),
  version
})

contract("KeyValues", (it) => {
  it.scoped("writes all of a batch or nothing, and names every key that is at another version", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { agent, app, call } = yield* person()
      const lines = { app: yield* app, agent: (yield* agent).line }
      const write = (...mutations: ReadonlyArray<object>) => call("POST /v1/kv", 200, { body: { mutations } })
      const mutations = [mutation("todo.index", "i", -1), mutation("todo.1", "one", -1)]
      const { answer, heard, names } = yield* overhear(lines, write(...mutations))
      assert.deepStrictEqual(answer.results, [
        { key: "todo.index", version: 0 },
        { key: "todo.1", version: 0 }
      ])
      assert.deepStrictEqual(names, { app: ["update kv-batch-update"], agent: [] })
      assert.deepStrictEqual(heard.app[0]?.payload.body, {
        t: "kv-batch-update",
        changes: mutations.map((each) => ({ ...each, version: 0 }))
      })
      const late = [mutation("todo.index", "j", 0), mutation("todo.1", "two", 7), mutation("todo.2", "x", 3)]
      const refused = yield* overhear(lines, call("POST /v1/kv", 409, { body: { mutations: late } }))
      assert.deepStrictEqual(refused.names, { app: [], agent: [] })
      assert.deepStrictEqual(refused.answer.errors, [
        { key: "todo.1", error: "version-mismatch", version: 0, value: base64("one") },
        { key: "todo.2", error: "version-mismatch", version: -1, value: null }
      ])
      assert.include(yield* call("GET /v1/kv/:key", 200, { params: { key: "todo.index" } }), { value: base64("i") })
    })
  )

  it.scoped("lets one of several that write a key at once succeed, and one that repeats its batch", () =>
    Effect.gen(function* () {
      const { person, request } = yield* Wire
      const { app, call, token } = yield* person()
      const headers = { authorization: `Bearer ${token}` }
      const write = (value: string) =>
        request("POST", "/v1/kv", { headers, body: { mutations: [mutation("k", value, -1)] } })
      const answers = yield* Effect.all(["a", "b", "c", "d"].map(write), { concurrency: "unbounded" })
      assert.deepStrictEqual(answers.map(({ status }) => status).toSorted(), [200, 409, 409, 409])
      const { value } = yield* call("GET /v1/kv/:key", 200, { params: { key: "k" } })
      const cursor = yield* call("GET /v2/cursor", 200)
      const line = yield* app
      const repeated = call("POST /v1/kv", 200, { body: { mutations: [{ key: "k", value, version: -1 }] } })
      const { answer, names } = yield* overhear({ line }, repeated)
      assert.deepStrictEqual(answer.results, [{ key: "k", version: 0 }])
      assert.deepStrictEqual(names, { line: [] })
      assert.deepStrictEqual(yield* call("GET /v2/cursor", 200), cursor)
    })
  )

  it.scoped("deletes a value and goes on with its version", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const params = { key: "a/b c" }
      const write = (status: 200 | 409, value: string | null, version: number) =>
        call("POST /v1/kv", status, { body: { mutations: [mutation(params.key, value, version)] } })
      yield* call("GET /v1/kv/:key", 404, { params })
      yield* write(200, "one", -1)
      yield* write(200, null, 0)
      yield* call("GET /v1/kv/:key", 404, { params })
      yield* write(409, "two", -1)
      yield* write(200, "two", 1)
      assert.deepStrictEqual(yield* call("GET /v1/kv/:key", 200, { params }), {
        key: params.key,
        value: base64("two"),
        version: 2
      })
    })
  )

  it.scoped("lists by prefix, exactly and in order, and picks what is asked for", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const keys = ["todo.b", "todo.a", "Todo.c", "todoXd", "to%o.e", "todo.f"]
      yield* call("POST /v1/kv", 200, { body: { mutations: keys.map((key) => mutation(key, key, -1)) } })
      yield* call("POST /v1/kv", 200, { body: { mutations: [mutation("todo.f", null, 0)] } })
      const list = (query: Record<string, string | number>) =>
        Effect.map(call("GET /v1/kv", 200, { query }), ({ items }) => items.map(({ key }) => key))
      assert.deepStrictEqual(yield* list({ prefix: "todo." }), ["todo.a", "todo.b"])
      assert.deepStrictEqual(yield* list({ prefix: "to%" }), ["to%o.e"])
      assert.deepStrictEqual(yield* list({ limit: 2 }), ["Todo.c", "to%o.e"])
      const { values } = yield* call("POST /v1/kv/bulk", 200, { body: { keys: ["todo.a", "todo.f", "missing"] } })
      assert.deepStrictEqual(
        values.map(({ key }) => key),
        ["todo.a"]
      )
      for (const query of [{ limit: 0 }, { limit: 1001 }]) yield* call("GET /v1/kv", 400, { query })
      for (const body of [{ keys: [] }, { keys: Array.from({ length: 101 }, String) }]) {
        yield* call("POST /v1/kv/bulk", 400, { body })
      }
    })
  )

  it.scoped("refuses batches that contradict themselves", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      for (const mutations of [
        [],
        Array.from({ length: 101 }, (_, index) => mutation(String(index), "v", -1)),
        [mutation("a", "v", -1), mutation("a", "w", -1)],
        [mutation("", "v", -1)],
        [mutation("x".repeat(513), "v", -1)],
        [{ key: "a", value: "", version: -1 }],
        [{ key: "a", value: "!!", version: -1 }],
        [{ key: "a", value: "YQ", version: -1 }]
      ]) {
        yield* call("POST /v1/kv", 400, { body: { mutations } })
      }
      yield* call("POST /v1/kv", 409, { body: { mutations: [mutation("a", "v", 0.5)] } })
      assert.deepStrictEqual(yield* call("GET /v1/kv", 200), { items: [] })
    })
  )

  it.scoped("hints in the feed at the keys of every batch since, or at all of them", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const hint = Effect.map(call("GET /v2/changes", 200), ({ changes }) =>
        changes.flatMap((change) => (change.kind === "kv" ? [[change.entityId, change.hint]] : []))
      )
      for (const key of ["a", "b"]) yield* call("POST /v1/kv", 200, { body: { mutations: [mutation(key, "v", -1)] } })
      assert.deepStrictEqual(yield* hint, [["self", { keys: ["a", "b"] }]])
      const many = Array.from({ length: 49 }, (_, index) => mutation(`k${index}`, "v", -1))
      yield* call("POST /v1/kv", 200, { body: { mutations: many } })
      assert.deepStrictEqual(yield* hint, [["self", { full: true }]])
    })
  )
})
