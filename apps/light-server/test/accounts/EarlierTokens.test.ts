/**
 * Goal: a client with a token of the server it used before stays logged in. Method: tokens are signed by tweetnacl with
 * a key derived as the other server documents it, so that the tests share no code with what they test.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as EarlierToken from "proving/fixtures/EarlierToken"
import * as EarlierTokens from "../../src/accounts/EarlierTokens.ts"

const secret = "a-master-secret-for-this-test"

/** A token as the other server makes it. */
const tokenOf = (
  payload: object = { iss: "handy", sub: "ada", iat: 1000, nbf: 1000 },
  { header, secret: from = secret }: { readonly header?: object; readonly secret?: string } = {}
) => EarlierToken.make(from, payload, header)

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")

const make = EarlierTokens.make(Redacted.make(secret), 60)

const now = 2_000_000

describe("EarlierTokens", () => {
  it.effect("speak for their account at any time after they were made", () =>
    Effect.gen(function* () {
      const tokens = yield* make
      assert.strictEqual(yield* tokens.verify(tokenOf(), now), "ada")
      assert.strictEqual(yield* tokens.verify(tokenOf(), now + 100 * 365 * 86_400_000), "ada")
      // Within the tolerance, since clocks step back.
      assert.strictEqual(yield* tokens.verify(tokenOf(), 950_000), "ada")
    })
  )

  it.effect("are refused when anything about them is wrong", () =>
    Effect.gen(function* () {
      const tokens = yield* make
      const good = tokenOf()
      const swapped = good.split(".")
      swapped[1] = encode({ iss: "handy", sub: "eve", iat: 1000, nbf: 1000 })
      for (const token of [
        tokenOf(undefined, { secret: "another secret" }),
        tokenOf({ iss: "other", sub: "ada" }),
        tokenOf({ iss: "handy" }),
        tokenOf({ iss: "handy", sub: "ada", nbf: 10_000 }),
        tokenOf(undefined, { header: { alg: "none" } }),
        tokenOf(undefined, { header: { alg: "HS256" } }),
        swapped.join("."),
        `${good.slice(0, -4)}AAAA`,
        "handy",
        ""
      ]) {
        const failure = yield* Effect.flip(tokens.verify(token, now))
        assert.strictEqual(failure.error, "Invalid token", token)
      }
    })
  )

  it.effect("are distinguished from all others without a check of their signature", () =>
    Effect.gen(function* () {
      const tokens = yield* make
      assert.isTrue(tokens.isOne(tokenOf()))
      for (const token of [tokenOf({ iss: "happier-light", sub: "ada" }), "a.b.c", "", "x".repeat(100_000)]) {
        assert.isFalse(tokens.isOne(token))
      }
    })
  )
})
