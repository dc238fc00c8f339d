/**
 * Goal: a vendor token of one device is available to the others, and not to a reader of the file.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { contract, Wire } from "../../src/contract/Wire.ts"

const secret = JSON.stringify({ oauth: { access_token: "a-secret-of-the-vendor" } })

contract("Connect", (it) => {
  it.scoped("keeps one token for each vendor, and shows it to its account", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const anthropic = { vendor: "anthropic" }
      assert.deepStrictEqual(yield* call("GET /v1/connect/:vendor/token", 200, { params: anthropic }), { token: null })
      for (const token of ["first", secret]) {
        yield* call("POST /v1/connect/:vendor/register", 200, { params: anthropic, body: { token } })
      }
      yield* call("POST /v1/connect/:vendor/register", 200, { params: { vendor: "gemini" }, body: { token: "" } })
      assert.deepStrictEqual(yield* call("GET /v1/connect/:vendor/token", 200, { params: anthropic }), {
        token: secret
      })
      assert.deepStrictEqual(yield* call("GET /v1/connect/tokens", 200), {
        tokens: [
          { vendor: "anthropic", token: secret },
          { vendor: "gemini", token: "" }
        ]
      })
      const { connectedServices } = yield* call("GET /v1/account/profile", 200)
      assert.deepStrictEqual(connectedServices, ["anthropic", "gemini"])
    })
  )

  it.scoped("stores no token in the clear, and shows one that cannot be decrypted as none", () =>
    Effect.gen(function* () {
      const { person, server } = yield* Wire
      const { call, id } = yield* person()
      const params = { vendor: "openai" }
      yield* call("POST /v1/connect/:vendor/register", 200, { params, body: { token: secret } })
      const select = `SELECT "token" FROM "ServiceAccountToken" WHERE "accountId" = ?`
      const stored = (yield* server.database.query(select, id))[0]?.["token"]
      assert.instanceOf(stored, Uint8Array)
      assert.notInclude(Buffer.from(stored as Uint8Array).toString("latin1"), "a-secret-of-the-vendor")
      const other = yield* person()
      yield* other.call("POST /v1/connect/:vendor/register", 200, { params, body: { token: "own" } })
      // The row of one account is of no use to another one.
      yield* server.database.query(
        `UPDATE "ServiceAccountToken" SET "token" = (
           SELECT "token" FROM "ServiceAccountToken" WHERE "accountId" = ?
         ) WHERE "accountId" = ?`,
        id,
        other.id
      )
      assert.deepStrictEqual(yield* other.call("GET /v1/connect/:vendor/token", 200, { params }), { token: null })
      assert.deepStrictEqual(yield* other.call("GET /v1/connect/tokens", 200), { tokens: [] })
      const { connectedServices } = yield* other.call("GET /v1/account/profile", 200)
      assert.deepStrictEqual(connectedServices, ["openai"])
    })
  )

  it.scoped("disconnects what is connected, and accepts three vendors", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const { call } = yield* person()
      const params = { vendor: "gemini" }
      yield* call("POST /v1/connect/:vendor/register", 200, { params, body: { token: "t" } })
      yield* call("DELETE /v1/connect/:vendor", 200, { params })
      yield* call("DELETE /v1/connect/:vendor", 404, { params })
      const unknown = { vendor: "claude" }
      yield* call("POST /v1/connect/:vendor/register", 400, { params: unknown, body: { token: "t" } })
      yield* call("POST /v1/connect/:vendor/register", 400, { params, body: { token: 7 } })
      yield* call("GET /v1/connect/:vendor/token", 400, { params: unknown })
      yield* call("DELETE /v1/connect/:vendor", 400, { params: unknown })
      yield* call("GET /v1/connect/github/params", 400)
      yield* call("DELETE /v1/connect/github", 200)
    })
  )
})
