import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Ref, TestClock } from "effect"
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose"
import * as Ed25519 from "../../src/accounts/Ed25519.ts"
import * as Tokens from "../../src/accounts/Tokens.ts"
import { DataDirectory } from "../../src/opening/DataDirectory.ts"
import { DatabaseReader, fromQuery, ReadFailed } from "../../src/database/DatabaseReader.ts"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { hkdfSync } from "node:crypto"

const secret = "a-master-secret-for-this-test"

/** Accounts by id, and the number of reads. */
const makeAccounts = (...ids: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const existing = yield* Ref.make<ReadonlyArray<string> | "broken">(ids)
    const lookCount = yield* Ref.make(0)
    const reader = fromQuery((_, params) =>
      Effect.gen(function* () {
        yield* Ref.update(lookCount, (count) => count + 1)
        const ids = yield* Ref.get(existing)
        if (ids === "broken") return yield* new ReadFailed({ code: "SQLITE_IOERR", detail: "" })
        return ids.filter((id) => params.includes(id)).map((id) => ({ id, epoch: null, isRevoked: 0, isDisabled: 0 }))
      })
    )
    return { existing, lookCount, layer: Layer.succeed(DatabaseReader, reader) }
  })

const layer = (reader: Layer.Layer<DatabaseReader>, masterSecret = secret, options?: Tokens.Options) =>
  Tokens.layer(options).pipe(
    Layer.provide(reader),
    Layer.provide(Layer.succeed(DataDirectory, { path: "/nowhere", masterSecret: Redacted.make(masterSecret) }))
  )

const issue = (accountId: string) => Effect.flatMap(Tokens.Tokens, (tokens) => tokens.issue(accountId))
const verify = (token: string) => Effect.flatMap(Authenticator, (authenticator) => authenticator.verify(token))
const refusal = (token: string) =>
  Effect.map(Effect.flip(verify(token)), (failure) => ("error" in failure ? failure.error : failure._tag))

/** The key that the layer derives, for tokens that are wrong in one point only. */
const signingKey = Ed25519.privateKeyOf(
  new Uint8Array(hkdfSync("sha256", secret, "", "light-server token signing key v1", 32))
)

const forged = (change: (token: SignJWT) => SignJWT) =>
  Effect.promise(() =>
    change(
      new SignJWT()
        .setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
        .setSubject("ada")
        .setIssuer("happier-light")
        .setAudience("happier-client")
        .setIssuedAt(0)
    ).sign(signingKey)
  )

describe("Tokens", () => {
  it.effect("speak for their account, at any time", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      yield* Effect.gen(function* () {
        const token = yield* issue("ada")
        assert.strictEqual(yield* verify(token), "ada")
        yield* TestClock.adjust("20000 days")
        assert.strictEqual(yield* verify(token), "ada")
      }).pipe(Effect.provide(layer(accounts.layer)))
    })
  )

  it.effect("survive a restart with the same secret, and no other", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      const token = yield* issue("ada").pipe(Effect.provide(layer(accounts.layer)))
      assert.strictEqual(yield* verify(token).pipe(Effect.provide(layer(accounts.layer))), "ada")
      assert.strictEqual(
        yield* refusal(token).pipe(Effect.provide(layer(accounts.layer, `${secret}!`))),
        "Invalid token"
      )
    })
  )

  it.effect("survive a clock that stepped back after they were made", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      yield* TestClock.setTime(10 * 86_400_000)
      yield* Effect.gen(function* () {
        const token = yield* issue("ada")
        yield* TestClock.setTime(10 * 86_400_000 - 2 * 3_600_000)
        assert.strictEqual(yield* verify(token), "ada")
      }).pipe(Effect.provide(layer(accounts.layer)))
    })
  )

  it.effect("are refused when anything about them is wrong", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      yield* Effect.gen(function* () {
        const token = yield* issue("ada")
        const [header = "", payload = "", signature = ""] = token.split(".")
        const { privateKey } = yield* Effect.promise(() => generateKeyPair("EdDSA"))
        const sign = (alg: string, key: Parameters<SignJWT["sign"]>[0]) =>
          Effect.promise(() =>
            new SignJWT()
              .setProtectedHeader({ alg, typ: "JWT" })
              .setSubject("ada")
              .setIssuer("happier-light")
              .setAudience("happier-client")
              .setIssuedAt(0)
              .sign(key)
          )
        const wrong: Record<string, string> = {
          "no token": "x",
          empty: "..",
          truncated: token.slice(0, -4),
          "without signature": `${header}.${payload}.`,
          "with another payload": `${header}.${Buffer.from(`{"sub":"eve"}`).toString("base64url")}.${signature}`,
          unsecured: new UnsecuredJWT()
            .setSubject("ada")
            .setIssuer("happier-light")
            .setAudience("happier-client")
            .encode(),
          "signed with a shared secret": yield* sign("HS256", new TextEncoder().encode(secret.repeat(2))),
          "signed with another key": yield* sign("EdDSA", privateKey),
          "under another name of the algorithm": yield* sign("Ed25519", signingKey),
          "of another issuer": yield* forged((token) => token.setIssuer("handy")),
          "for another audience": yield* forged((token) => token.setAudience("others")),
          expired: yield* forged((token) => token.setExpirationTime(-10 * 86_400)),
          "too long": `${token}${"a".repeat(4000)}`
        }
        for (const [name, token] of Object.entries(wrong))
          assert.strictEqual(yield* refusal(token), "Invalid token", name)
        assert.strictEqual(yield* verify(yield* forged((token) => token)), "ada")
      }).pipe(Effect.provide(layer(accounts.layer)))
    })
  )

  it.effect("stop speaking for an account that is gone, after the cache time", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      yield* Effect.gen(function* () {
        const token = yield* issue("ada")
        yield* Ref.set(accounts.lookCount, 0)
        assert.strictEqual(yield* verify(token), "ada")
        yield* Ref.set(accounts.existing, [])
        yield* TestClock.adjust("29 seconds")
        assert.strictEqual(yield* verify(token), "ada")
        assert.strictEqual(yield* Ref.get(accounts.lookCount), 1)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* refusal(token), "Invalid token")
      }).pipe(Effect.provide(layer(accounts.layer)))
    })
  )

  it.effect("do not make a client log in again because the database could not be read", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada")
      yield* Effect.gen(function* () {
        const token = yield* issue("ada")
        yield* Ref.set(accounts.existing, "broken")
        assert.strictEqual(yield* refusal(token), "ReadFailed")
        yield* Ref.set(accounts.existing, ["ada"])
        assert.strictEqual(yield* verify(token), "ada")
      }).pipe(Effect.provide(layer(accounts.layer)))
    })
  )

  it.effect("are remembered up to a bound", () =>
    Effect.gen(function* () {
      const accounts = yield* makeAccounts("ada", "bob")
      yield* Effect.gen(function* () {
        const [ada, bob] = [yield* issue("ada"), yield* issue("bob")]
        yield* Ref.set(accounts.lookCount, 0)
        for (const token of [ada, bob, ada, bob]) yield* verify(token)
        assert.strictEqual(yield* Ref.get(accounts.lookCount), 4)
      }).pipe(Effect.provide(layer(accounts.layer, secret, { cacheCapacity: 1 })))
    })
  )
})
