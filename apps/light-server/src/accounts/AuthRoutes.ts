/** `POST /v1/auth`: a signed challenge for a token. */
import { Effect, Layer, Schema } from "effect"
import { Forbidden } from "../Failure.ts"
import { HttpApp } from "../http/HttpApp.ts"
import { AccountStore } from "./AccountStore.ts"
import { Login } from "./Login.ts"
import { Tokens } from "./Tokens.ts"

/** The base64 texts that clients send are short; longer ones are rejected. */
const Base64 = Schema.String.pipe(Schema.maxLength(1024))

const Credentials = Schema.Struct({
  publicKey: Base64,
  challenge: Base64,
  signature: Base64,
  contentPublicKey: Schema.optional(Base64),
  contentPublicKeySig: Schema.optional(Base64)
})

export const layer: Layer.Layer<never, never, HttpApp | Login | AccountStore | Tokens> = Layer.effectDiscard(
  Effect.gen(function* () {
    const http = yield* HttpApp
    const login = yield* Login
    const accounts = yield* AccountStore
    const tokens = yield* Tokens
    yield* http.register((app) => {
      app.post(
        "/v1/auth",
        { config: { limitedAs: "auth", priority: "control" }, schema: { body: Credentials } },
        (request, reply) =>
          http.answer(
            request,
            reply,
            Effect.gen(function* () {
              const proof = yield* login.prove(request.body)
              const accountId = yield* accounts.signIn(proof)
              // Nothing is lost by a final answer to somebody who logs in, and it can be read.
              if (yield* tokens.isDisabled(accountId)) return yield* new Forbidden({ error: "account-disabled" })
              return { success: true, token: yield* tokens.issue(accountId, proof.epoch) }
            })
          )
      )
    })
  })
)
