/**
 * Goal: a terminal, or a new device, gets a token of the account that answers
 * it.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { randomBytes } from "node:crypto"
import { contract, Wire } from "../../src/contract/Wire.ts"

const newKey = () => randomBytes(32).toString("base64")

const kinds = [
  { name: "a terminal", request: "POST /v1/auth/request", response: "POST /v1/auth/response" },
  { name: "a device", request: "POST /v1/auth/account/request", response: "POST /v1/auth/account/response" }
] as const

contract("Pairing", (it) => {
  for (const { name, request, response } of kinds) {
    it.scoped(`gives ${name} a token of the account that answers it`, () =>
      Effect.gen(function* () {
        const { call, person, request: ask } = yield* Wire
        const owner = yield* person()
        const publicKey = newKey()
        assert.deepStrictEqual(yield* call(request, 200, { body: { publicKey } }), { state: "requested" })
        assert.deepStrictEqual(yield* call(request, 200, { body: { publicKey } }), { state: "requested" })
        yield* owner.call(response, 200, { body: { publicKey, response: "for you" } })
        const paired = yield* call(request, 200, { body: { publicKey } })
        assert.strictEqual(paired.state, "authorized")
        if (paired.state !== "authorized") return
        assert.strictEqual(paired.response, "for you")
        const headers = { authorization: `Bearer ${paired.token}` }
        const { data } = yield* ask("GET", "/v1/account/profile", { headers })
        assert.strictEqual(data.id, owner.id)
      })
    )

    it.scoped(`lets the first answer to ${name} stand`, () =>
      Effect.gen(function* () {
        const { call, person } = yield* Wire
        const [first, second] = yield* Effect.all([person(), person()])
        const publicKey = newKey()
        yield* call(request, 200, { body: { publicKey } })
        yield* first.call(response, 200, { body: { publicKey, response: "first" } })
        yield* first.call(response, 200, { body: { publicKey, response: "again" } })
        yield* second.call(response, 404, { body: { publicKey, response: "late" } })
        const paired = yield* call(request, 200, { body: { publicKey } })
        assert.include(paired, { state: "authorized", response: "first" })
      })
    )

    it.scoped(`refuses a malformed key, and an answer to ${name} that never asked`, () =>
      Effect.gen(function* () {
        const { call, person } = yield* Wire
        const owner = yield* person()
        const short = randomBytes(31).toString("base64")
        yield* call(request, 401, { body: { publicKey: short } })
        yield* call(request, 400, { body: {} })
        yield* owner.call(response, 401, { body: { publicKey: short, response: "r" } })
        yield* owner.call(response, 404, { body: { publicKey: newKey(), response: "r" } })
        const { message } = yield* owner.call(response, 400, { body: { publicKey: newKey() } })
        assert.strictEqual(message, "body/response is required")
      })
    )
  }

  it.scoped("returns the status of a terminal without a token", () =>
    Effect.gen(function* () {
      const { call, person } = yield* Wire
      const owner = yield* person()
      const publicKey = newKey()
      const status = call("GET /v1/auth/request/status", 200, { query: { publicKey } })
      assert.deepStrictEqual(yield* status, { status: "not_found", supportsV2: false })
      yield* call("POST /v1/auth/request", 200, { body: { publicKey, supportsV2: true } })
      assert.deepStrictEqual(yield* status, { status: "pending", supportsV2: true })
      yield* owner.call("POST /v1/auth/response", 200, { body: { publicKey, response: "r" } })
      assert.deepStrictEqual(yield* status, { status: "authorized", supportsV2: true })
      yield* call("GET /v1/auth/request/status", 400)
    })
  )
})
