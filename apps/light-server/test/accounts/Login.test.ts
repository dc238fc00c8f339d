import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, TestClock } from "effect"
import * as Login from "../../src/accounts/Login.ts"
import * as SeenChallenges from "../../src/accounts/SeenChallenges.ts"
import * as Client from "proving/drivers/AccountClient"
import * as DataDirectories from "../support/DataDirectories.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const challenges = SeenChallenges.layer().pipe(
  Layer.provide(Layer.merge(TestDatabase.layer, DataDirectories.temporary("unused")))
)

const outcome = (login: Login.Login["Type"], credentials: Login.Credentials) =>
  login.prove(credentials).pipe(
    Effect.match({
      onFailure: (failure) => ("error" in failure ? `${failure._tag}: ${failure.error}` : failure._tag),
      onSuccess: () => "proven"
    })
  )

const short = Buffer.alloc(31).toString("base64")
const wrong = Buffer.alloc(64).toString("base64")

describe("Login", () => {
  it.effect("proves the key that signed the challenge", () =>
    Effect.gen(function* () {
      const login = yield* Login.make()
      const client = Client.make()
      const { content, publicKey } = yield* login.prove(client.withContent())
      assert.strictEqual(Buffer.from(publicKey).toString("hex"), client.publicKeyHex)
      assert.deepStrictEqual(Buffer.from(content?.publicKey ?? []), Buffer.from(client.contentPublicKey()))
    }).pipe(Effect.provide(challenges))
  )

  for (const [name, change, expected] of [
    ["a public key of another length", { publicKey: short }, "Unauthorized: Invalid public key"],
    ["a signature of another length", { signature: short }, "Unauthorized: Invalid signature"],
    ["a signature that does not fit", { signature: wrong }, "Unauthorized: Invalid signature"],
    [
      "half a content key",
      { contentPublicKeySig: undefined },
      "InvalidInput: contentPublicKey and contentPublicKeySig go together"
    ],
    [
      "the other half",
      { contentPublicKey: undefined },
      "InvalidInput: contentPublicKey and contentPublicKeySig go together"
    ],
    ["a content key of another length", { contentPublicKey: short }, "InvalidInput: Invalid contentPublicKey"],
    [
      "a content key signed with another key",
      { contentPublicKeySig: wrong },
      "InvalidInput: Invalid contentPublicKeySig"
    ]
  ] as const) {
    it.effect(`refuses ${name}`, () =>
      Effect.gen(function* () {
        const login = yield* Login.make()
        assert.strictEqual(yield* outcome(login, { ...Client.make().withContent(), ...change }), expected)
      }).pipe(Effect.provide(challenges))
    )
  }

  describe("replay", () => {
    it.effect("accepts a retry for 30 s, and refuses repetitions after that until the window ends", () =>
      Effect.gen(function* () {
        const login = yield* Login.make()
        const triple = Client.make().challenge()
        assert.strictEqual(yield* outcome(login, triple), "proven")
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(yield* outcome(login, triple), "proven")
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* outcome(login, triple), "Unauthorized: Invalid signature")
        yield* TestClock.adjust("23 hours")
        assert.strictEqual(yield* outcome(login, triple), "Unauthorized: Invalid signature")
        yield* TestClock.adjust("1 hours")
        assert.strictEqual(yield* outcome(login, triple), "proven")
      }).pipe(Effect.provide(challenges))
    )

    it.effect("does not restrict a client that signs another challenge", () =>
      Effect.gen(function* () {
        const login = yield* Login.make()
        const client = Client.make()
        for (let index = 0; index < 5; index++) {
          assert.strictEqual(yield* outcome(login, client.challenge()), "proven")
          yield* TestClock.adjust("1 minute")
        }
      }).pipe(Effect.provide(challenges))
    )

    it.effect("does not remember a challenge whose signature is wrong", () =>
      Effect.gen(function* () {
        const login = yield* Login.make()
        const triple = Client.make().challenge()
        assert.strictEqual(yield* outcome(login, { ...triple, signature: wrong }), "Unauthorized: Invalid signature")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* outcome(login, triple), "proven")
      }).pipe(Effect.provide(challenges))
    )

    it.effect("recognizes another base64 form of the same bytes", () =>
      Effect.gen(function* () {
        const login = yield* Login.make()
        const triple = Client.make().challenge(new Uint8Array(32).fill(255))
        assert.strictEqual(yield* outcome(login, triple), "proven")
        yield* TestClock.adjust("1 minute")
        const respelled = { ...triple, challenge: triple.challenge.replaceAll("/", "_").replace("=", "") }
        assert.strictEqual(yield* outcome(login, respelled), "Unauthorized: Invalid signature")
      }).pipe(Effect.provide(challenges))
    )
  })

  it.effect("refuses a login when the queue is full", () =>
    Effect.gen(function* () {
      const login = yield* Login.make({ concurrency: 1, capacity: 3 })
      const client = Client.make()
      const outcomes = yield* Effect.all(
        Array.from({ length: 8 }, () => outcome(login, client.challenge())),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(outcomes.toSorted(), [
        ...Array<string>(5).fill("TooManyRequests"),
        "proven",
        "proven",
        "proven"
      ])
      assert.strictEqual(yield* outcome(login, client.challenge()), "proven")
    }).pipe(Effect.provide(challenges))
  )

  it.effect("releases a place in the queue when its login is interrupted", () =>
    Effect.gen(function* () {
      const login = yield* Login.make({ concurrency: 1, capacity: 1 })
      const client = Client.make()
      for (let index = 0; index < 20; index++) {
        const exit = yield* Effect.raceFirst(login.prove(client.challenge()), Effect.yieldNow()).pipe(Effect.exit)
        assert.isTrue(Exit.isSuccess(exit))
      }
      assert.strictEqual(yield* outcome(login, client.challenge()), "proven")
    }).pipe(Effect.provide(challenges))
  )
})
