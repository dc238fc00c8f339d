/**
 * Goal: agents find the phones to notify.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const token = (name: string) => `ExponentPushToken[${name}]`

contract("Push", (it) => {
  it.scoped("keeps a token once, however often and by however many it is sent", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      assert.deepStrictEqual(yield* call("GET /v1/push-tokens", 200), { tokens: [] })
      const add = call("POST /v1/push-tokens", 200, { body: { token: token("a") } })
      yield* Effect.all([add, add, add, add], { concurrency: "unbounded" })
      const [first, ...more] = (yield* call("GET /v1/push-tokens", 200)).tokens
      assert.strictEqual(first?.token, token("a"))
      assert.deepStrictEqual(more, [])
      yield* add
      const again = (yield* call("GET /v1/push-tokens", 200)).tokens[0]
      assert.deepStrictEqual([again?.id, again?.createdAt], [first?.id, first?.createdAt])
    })
  )

  it.scoped("lists the newest first, and deletes what is there and what is not", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      for (const name of ["a", "b"]) yield* call("POST /v1/push-tokens", 200, { body: { token: token(name) } })
      const listed = (yield* call("GET /v1/push-tokens", 200)).tokens.map((row) => row.token)
      assert.deepStrictEqual(listed, [token("b"), token("a")])
      yield* call("DELETE /v1/push-tokens/:token", 200, { params: { token: token("a") } })
      yield* call("DELETE /v1/push-tokens/:token", 200, { params: { token: token("a") } })
      assert.deepStrictEqual(
        (yield* call("GET /v1/push-tokens", 200)).tokens.map((row) => row.token),
        [token("b")]
      )
    })
  )

  it.scoped("keeps the 50 newest tokens of an account, and deletes one of any length that it takes", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      for (let index = 0; index < 52; index++) {
        yield* call("POST /v1/push-tokens", 200, { body: { token: token(String(index)) } })
      }
      const { tokens } = yield* call("GET /v1/push-tokens", 200)
      assert.strictEqual(tokens.length, 50)
      assert.strictEqual(tokens[0]?.token, token("51"))
      const long = "[".repeat(4096)
      yield* call("POST /v1/push-tokens", 200, { body: { token: long } })
      yield* call("DELETE /v1/push-tokens/:token", 200, { params: { token: long } })
      assert.notInclude(
        (yield* call("GET /v1/push-tokens", 200)).tokens.map((row) => row.token),
        long
      )
    })
  )

  it.scoped("refuses a malformed token, and lets two accounts have the same one", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const one = yield* person()
      const other = yield* person()
      for (const body of [{}, { token: 7 }, { token: "" }, { token: "x".repeat(4097) }]) {
        yield* one.call("POST /v1/push-tokens", 400, { body })
      }
      const body = { token: token("shared") }
      yield* one.call("POST /v1/push-tokens", 200, { body })
      yield* other.call("POST /v1/push-tokens", 200, { body })
      yield* one.call("DELETE /v1/push-tokens/:token", 200, { params: body })
      assert.strictEqual((yield* other.call("GET /v1/push-tokens", 200)).tokens.length, 1)
    })
  )
})
