/**
 * Goal: features that this server does not offer cause no errors in clients.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

contract("Social", (it) => {
  it.scoped("answers lists with nothing, and asks for what is missing", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      yield* call("GET /v1/feed", 200)
      yield* call("GET /v1/feed", 200, { query: { before: "0-7", limit: 200 } })
      yield* call("GET /v1/feed", 400, { query: { before: "7" } })
      yield* call("GET /v1/feed", 400, { query: { limit: 201 } })
      yield* call("GET /v1/friends", 200)
      yield* call("GET /v1/user/search", 200, { query: { query: "" } })
      yield* call("GET /v1/user/search", 400)
      yield* call("POST /v1/voice/token", 400, { body: {} })
    })
  )

  it.scoped("shows an account to itself, and no other account to it", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call, id } = yield* person()
      const other = yield* person()
      assert.strictEqual((yield* call("GET /v1/user/:id", 200, { params: { id } })).user.id, id)
      yield* call("GET /v1/user/:id", 404, { params: { id: other.id } })
      for (const route of ["POST /v1/friends/add", "POST /v1/friends/remove"] as const) {
        yield* call(route, 404, { body: { uid: other.id } })
        yield* call(route, 400, { body: {} })
      }
    })
  )
})
