/** `/v1/connect`: the tokens of an account at vendors, which its devices share through this server. */
import { Effect, Layer, Option, Schema } from "effect"
import { InvalidInput, NotFound } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { DataDirectory } from "../opening/DataDirectory.ts"
import * as TokenCipher from "./TokenCipher.ts"
import { type StoredToken, Vendor, VendorTokenStore } from "./VendorTokenStore.ts"

const Params = Schema.Struct({ vendor: Vendor })

const Registration = Schema.Struct({ token: Schema.String })

const done = { success: true }

export const layer: Layer.Layer<never, never, HttpApp | VendorTokenStore | DataDirectory> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const store = yield* VendorTokenStore
    const cipher = yield* TokenCipher.make((yield* DataDirectory).masterSecret)

    const decrypted = (accountId: string, { token, vendor }: StoredToken) =>
      cipher.decrypt(TokenCipher.pathOf(accountId, vendor), token)

    const find = (accountId: string, vendor: Vendor) =>
      Effect.gen(function* () {
        const found = yield* store.find(accountId, vendor)
        if (Option.isNone(found)) return { token: null }
        return { token: Option.getOrNull(yield* decrypted(accountId, found.value)) }
      })

    /** A token that cannot be decrypted, for example after the master secret was changed, is left out. */
    const list = (accountId: string) =>
      Effect.flatMap(store.list(accountId), (tokens) =>
        Effect.map(
          Effect.forEach(tokens, (stored) =>
            Effect.map(
              decrypted(accountId, stored),
              Option.map((token) => ({ vendor: stored.vendor, token }))
            )
          ),
          (readable) => ({ tokens: readable.flatMap(Option.toArray) })
        )
      )

    const register = (accountId: string, vendor: Vendor, token: string) =>
      Effect.flatMap(cipher.encrypt(TokenCipher.pathOf(accountId, vendor), token), (encrypted) =>
        Effect.as(store.replace(accountId, vendor, encrypted), done)
      )

    yield* http.register((app) => {
      app.addHook("onRequest", http.authenticate)
      app.get("/v1/connect/tokens", (request, reply) => http.answer(request, reply, list(request.accountId)))
      // This server has no application at GitHub. Disconnecting something that was never connected is not an error.
      app.get("/v1/connect/github/params", (request, reply) =>
        http.answer(request, reply, Effect.fail(new InvalidInput({ error: "GitHub OAuth not configured" })))
      )
      app.delete("/v1/connect/github", (request, reply) => http.answer(request, reply, Effect.succeed(done)))
      app.post("/v1/connect/:vendor/register", { schema: { params: Params, body: Registration } }, (request, reply) =>
        http.answer(request, reply, register(request.accountId, request.params.vendor, request.body.token))
      )
      app.get("/v1/connect/:vendor/token", { schema: { params: Params } }, (request, reply) =>
        http.answer(request, reply, find(request.accountId, request.params.vendor))
      )
      app.delete("/v1/connect/:vendor", { schema: { params: Params } }, (request, reply) =>
        http.answer(
          request,
          reply,
          store.remove(request.accountId, request.params.vendor).pipe(
            Effect.as(done),
            Effect.catchTag("WriteConflict", () => new NotFound({ what: "Connection", error: "Not connected" }))
          )
        )
      )
    })
  })
)
