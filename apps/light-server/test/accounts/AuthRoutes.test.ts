import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseFull } from "presence-effect/writer/WriterError"
import { AccountStore } from "../../src/accounts/AccountStore.ts"
import * as AuthRoutes from "../../src/accounts/AuthRoutes.ts"
import * as Login from "../../src/accounts/Login.ts"
import * as Tokens from "../../src/accounts/Tokens.ts"
import * as SeenChallenges from "../../src/accounts/SeenChallenges.ts"
import { DatabaseReader, fromQuery } from "../../src/database/DatabaseReader.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as Client from "proving/drivers/AccountClient"
import * as DataDirectories from "../support/DataDirectories.ts"

/** Every key has an account, with the hex text of the key as id. */
const Everybody = Layer.succeed(AccountStore, {
  signIn: ({ publicKey }) => Effect.succeed(Buffer.from(publicKey).toString("hex"))
})

const FullDisk = Layer.succeed(AccountStore, {
  signIn: () => Effect.fail(new DatabaseFull({ lane: Lane.control, code: "SQLITE_FULL", detail: "canary" }))
})

const layer = (accounts: Layer.Layer<AccountStore>) =>
  Layer.merge(AuthRoutes.layer, who).pipe(
    Layer.provideMerge(HttpApp.layer()),
    Layer.provideMerge(Tokens.layer()),
    Layer.provide(Login.layer()),
    Layer.provide(SeenChallenges.layer()),
    Layer.provide(accounts),
    Layer.provide(
      Layer.succeed(
        DatabaseReader,
        fromQuery((_, [id]) => Effect.succeed([{ id, epoch: null, isRevoked: 0, isDisabled: 0 }]))
      )
    ),
    Layer.provide(DataDirectories.temporary("master-secret-of-tests"))
  )

/** Returns the account of the token. */
const who = Layer.effectDiscard(
  Effect.flatMap(HttpApp.HttpApp, (http) =>
    http.register((app) => {
      app.get("/who", { onRequest: http.authenticate }, ({ accountId }) => ({ accountId }))
    })
  )
)

const post = (payload: object) =>
  Effect.flatMap(HttpApp.HttpApp, ({ fastify }) =>
    Effect.promise(() => fastify.inject({ method: "POST", url: "/v1/auth", payload }))
  )

describe("POST /v1/auth", () => {
  it.scoped("answers a signed challenge with a token that opens the other routes", () =>
    Effect.gen(function* () {
      const client = Client.make()
      const response = yield* post(client.withContent())
      assert.strictEqual(response.statusCode, 200)
      const { success, token } = response.json<{ readonly success: boolean; readonly token: string }>()
      assert.isTrue(success)

      const who = yield* Effect.flatMap(HttpApp.HttpApp, ({ fastify }) =>
        Effect.promise(() => fastify.inject({ url: "/who", headers: { authorization: `Bearer ${token}` } }))
      )
      assert.deepStrictEqual(who.json(), { accountId: client.publicKeyHex })
    }).pipe(Effect.provide(layer(Everybody)))
  )

  for (const [name, change, status, error] of [
    ["a public key of another length", { publicKey: "AAAA" }, 401, "Invalid public key"],
    ["a signature of another length", { signature: "AAAA" }, 401, "Invalid signature"],
    ["a signature that does not fit", { signature: Buffer.alloc(64).toString("base64") }, 401, "Invalid signature"],
    [
      "half a content key",
      { contentPublicKey: undefined },
      400,
      "contentPublicKey and contentPublicKeySig go together"
    ],
    ["a content key of another length", { contentPublicKey: "AAAA" }, 400, "Invalid contentPublicKey"],
    ["no challenge", { challenge: undefined }, 400, "Error"]
  ] as const) {
    it.scoped(`answers ${status} to ${name}`, () =>
      Effect.gen(function* () {
        const response = yield* post({ ...Client.make().withContent(), ...change })
        assert.strictEqual(response.statusCode, status)
        assert.strictEqual(response.json<{ readonly error: string }>().error, error)
      }).pipe(Effect.provide(layer(Everybody)))
    )
  }

  it.scoped("answers 503 when the account cannot be stored", () =>
    Effect.gen(function* () {
      const response = yield* post(Client.make().challenge())
      assert.strictEqual(response.statusCode, 503)
      assert.isAtLeast(Number(response.headers["retry-after"]), 60)
      assert.notInclude(response.body, "canary")
    }).pipe(Effect.provide(layer(FullDisk)))
  )
})
