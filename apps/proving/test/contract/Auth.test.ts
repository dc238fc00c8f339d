/**
 * Goal: a signed challenge gives a token, nothing else does, and tokens can be
 * revoked.
 */
import { assert } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import { contract, Wire, wireOf } from "../../src/contract/Wire.ts"

const bytes = (count: number) => Buffer.alloc(count, 7).toString("base64")

/** Hang limit of a test that starts a server of its own. */
const startMillis = 90_000

contract("Auth", (it) => {
  it.scoped("opens one account for a key, however often and whatever it signs", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const keys = Client.make()
      const [first, second] = yield* Effect.all([person(keys), person(keys)], { concurrency: "unbounded" })
      const other = yield* person()
      assert.strictEqual(first.id, second.id)
      assert.notStrictEqual(other.id, first.id)
      yield* first.call("GET /v1/account/profile", 200)
      yield* second.call("GET /v1/account/profile", 200)
    })
  )

  it.scoped("takes a challenge of the client's choice, and the same one again when the client tries again", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const body = Client.make().challenge()
      yield* call("POST /v1/auth", 200, { body })
      yield* call("POST /v1/auth", 200, { body })
    })
  )

  it.scoped("refuses a challenge that came before a revocation, also after the server was killed", () =>
    Effect.gen(function* () {
      const { call, person, server } = yield* Wire
      const keys = Client.make()
      const body = keys.challenge()
      yield* call("POST /v1/auth", 200, { body })
      yield* (yield* person(keys)).call("POST /v1/auth/revoke", 200)
      yield* call("POST /v1/auth", 401, { body })
      const later = keys.challenge()
      yield* call("POST /v1/auth", 200, { body: later })
      yield* server.end("SIGKILL")
      yield* server.start
      yield* call("POST /v1/auth", 401, { body })
      const { call: ask } = yield* person(keys)
      yield* ask("POST /v1/auth/revoke", 200)
      yield* call("POST /v1/auth", 401, { body: later })
    })
  )

  it.scoped("keeps a content key that its account has signed", () =>
    Effect.gen(function* () {
      const { call, server } = yield* Wire
      const keys = Client.make()
      yield* call("POST /v1/auth", 200, { body: keys.withContent() })
      const select = `SELECT "contentPublicKey" FROM "Account" WHERE "publicKey" = ?`
      const [row] = yield* server.database.query(select, keys.publicKeyHex)
      assert.deepStrictEqual(row?.["contentPublicKey"], Buffer.from(keys.contentPublicKey()))
    })
  )

  it.scoped("refuses a malformed key, and a signature that is not of this key over this challenge", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const body = Client.make().challenge()
      for (const [wrong, error] of [
        [{ publicKey: bytes(31) }, "Invalid public key"],
        [{ publicKey: "" }, "Invalid public key"],
        [{ signature: bytes(63) }, "Invalid signature"],
        [{ signature: bytes(64) }, "Invalid signature"],
        [{ challenge: bytes(32) }, "Invalid signature"],
        [{ publicKey: Client.make().challenge().publicKey }, "Invalid signature"]
      ] as const) {
        const answer = yield* call("POST /v1/auth", 401, { body: { ...body, ...wrong } })
        assert.strictEqual(answer.error, error)
      }
    })
  )

  it.scoped("refuses half a content key, one of another length, and one with another signature", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const { contentPublicKey, contentPublicKeySig, ...login } = Client.make().withContent()
      for (const wrong of [
        { contentPublicKey },
        { contentPublicKeySig },
        { contentPublicKey: bytes(31), contentPublicKeySig },
        { contentPublicKey, contentPublicKeySig: bytes(64) }
      ]) {
        yield* call("POST /v1/auth", 400, { body: { ...login, ...wrong } })
      }
    })
  )

  it.scoped(
    "opens no account while sign-up is closed",
    () =>
      Effect.gen(function* () {
        const { met } = yield* Wire
        const closed = Context.get(yield* Layer.build(wireOf({ AUTH_ANONYMOUS_SIGNUP_ENABLED: "0" })), Wire)
        const { error } = yield* closed.call("POST /v1/auth", 403, { body: Client.make().withContent() })
        assert.strictEqual(error, "signup-disabled")
        assert.deepStrictEqual(yield* closed.server.database.query(`SELECT "id" FROM "Account"`), [])
        // A client whose key is not proven gets no information about accounts.
        yield* closed.call("POST /v1/auth", 401, { body: { ...Client.make().challenge(), signature: bytes(64) } })
        met.add("POST /v1/auth 403")
      }),
    startMillis
  )

  it.scoped(
    "opens one account, for the first of many keys, and lets it log in ever after",
    () =>
      Effect.gen(function* () {
        const first = Context.get(yield* Layer.build(wireOf({ AUTH_ANONYMOUS_SIGNUP_ENABLED: "first-account" })), Wire)
        const keys = Array.from({ length: 8 }, () => Client.make())
        const answers = yield* Effect.forEach(
          keys,
          (client) =>
            Effect.map(first.request("POST", "/v1/auth", { body: client.challenge() }), ({ status }) => status),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(answers.toSorted(), [200, ...Array<number>(7).fill(403)])
        const owner = yield* first.person(keys[answers.indexOf(200)])
        yield* first.call("POST /v1/auth", 200, { body: owner.keys.withContent() })
        yield* first.call("POST /v1/auth", 403, { body: Client.make().challenge() })
        assert.strictEqual((yield* first.person(owner.keys)).id, owner.id)
      }),
    startMillis
  )

  it.scoped("names the field that does not fit", () =>
    Effect.gen(function* () {
      const { call } = yield* Wire
      const { signature, ...body } = Client.make().challenge()
      const missing = yield* call("POST /v1/auth", 400, { body })
      assert.deepStrictEqual(missing, { error: "Error", message: "body/signature is required", statusCode: 400 })
      yield* call("POST /v1/auth", 400, { body: { ...body, signature: 7 } })
      yield* call("POST /v1/auth", 400, { body: [] })
      assert.isString(signature)
    })
  )

  it.scoped("ends all tokens of an account, and its sockets for good, and opens a new one for the key", () =>
    Effect.gen(function* () {
      const { person, request } = yield* Wire
      const somebody = yield* person()
      const bystander = yield* person()
      const line = yield* somebody.app
      yield* somebody.call("POST /v1/auth/revoke", 200)
      const { payload } = yield* line.until(({ event }) => event === "error")
      assert.deepStrictEqual(payload, { message: "Invalid authentication token" })
      yield* line.until(({ event, payload }) => event === "disconnect" && payload === "io server disconnect")
      const headers = { authorization: `Bearer ${somebody.token}` }
      const { data, status } = yield* request("GET", "/v1/sessions", { headers })
      assert.deepStrictEqual({ status, data }, { status: 401, data: { error: "Invalid token" } })
      yield* bystander.call("GET /v1/sessions", 200)
      const again = yield* person(somebody.keys)
      assert.strictEqual(again.id, somebody.id)
    })
  )
})
