import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as AccountStore from "../../src/accounts/AccountStore.ts"
import * as Ids from "../../src/database/Ids.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const layer = AccountStore.layer.pipe(Layer.provideMerge(TestDatabase.layer))

const key = (fill: number, content?: number) => ({
  publicKey: new Uint8Array(32).fill(fill),
  content:
    content === undefined
      ? undefined
      : { publicKey: new Uint8Array(32).fill(content), signature: new Uint8Array(64).fill(content) }
})

const signIn = (...options: Parameters<typeof key>) =>
  Effect.flatMap(AccountStore.AccountStore, (accounts) => accounts.signIn(key(...options)))

describe("AccountStore", () => {
  it.scoped("creates an account once, in the control lane", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      const id = yield* signIn(0xab)
      assert.strictEqual(yield* signIn(0xab), id)
      assert.strictEqual(yield* signIn(0xab), id)
      assert.deepStrictEqual(database.writes, ["control"])
      assert.deepStrictEqual(database.query("SELECT id, publicKey, contentPublicKey FROM Account"), [
        { id, publicKey: "ab".repeat(32), contentPublicKey: null }
      ])
    }).pipe(Effect.provide(layer))
  )

  it.scoped("keeps accounts with different keys apart", () =>
    Effect.gen(function* () {
      assert.notStrictEqual(yield* signIn(1), yield* signIn(2))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("writes a content key when it is new or another one, and only then", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      const stored = () =>
        (database.query("SELECT contentPublicKey FROM Account")[0]?.["contentPublicKey"] as Buffer | null)?.[0]
      const id = yield* signIn(1)
      assert.strictEqual(yield* signIn(1, 7), id)
      assert.strictEqual(stored(), 7)
      assert.strictEqual(yield* signIn(1, 7), id)
      assert.strictEqual(yield* signIn(1), id)
      assert.strictEqual(stored(), 7)
      assert.strictEqual(yield* signIn(1, 8), id)
      assert.strictEqual(stored(), 8)
      assert.strictEqual(database.writes.length, 3)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("finds an account whose key is stored in capital letters", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      const id = Ids.cuid()
      database.sqlite
        .prepare("INSERT INTO Account (id, publicKey, createdAt, updatedAt) VALUES (?, ?, 1, 1)")
        .run(id, "AB".repeat(32))
      assert.strictEqual(yield* signIn(0xab), id)
      assert.strictEqual(yield* signIn(0xab, 7), id)
      assert.strictEqual(database.query("SELECT id FROM Account").length, 1)
    }).pipe(Effect.provide(layer))
  )

  it.scoped("returns the account that another request created between the read and the write", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase.TestDatabase
      const id = Ids.cuid()
      const run = () =>
        database.sqlite
          .prepare("INSERT INTO Account (id, publicKey, createdAt, updatedAt) VALUES (?, ?, 1, 1)")
          .run(id, "01".repeat(32))
      database.nextWrite = { _tag: "Before", run }
      assert.strictEqual(yield* signIn(1), id)
    }).pipe(Effect.provide(layer))
  )

  describe("sign-up", () => {
    const over = (signUp: "closed" | "first-account") =>
      AccountStore.layerWith(signUp).pipe(Layer.provideMerge(TestDatabase.layer))

    const refusal = (...options: Parameters<typeof key>) =>
      Effect.map(Effect.flip(signIn(...options)), (failure) => ("error" in failure ? failure.error : failure._tag))

    const addAccount = (id: string, publicKey: string) =>
      Effect.map(TestDatabase.TestDatabase, (database) =>
        database.query(
          `INSERT INTO Account (id, publicKey, createdAt, updatedAt)
            VALUES ('${id}', '${publicKey}', 1, 1) RETURNING id`
        )
      )

    it.scoped("that is closed refuses a new key without a write, and lets accounts change their content key", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase.TestDatabase
        yield* addAccount("known", "01".repeat(32))
        assert.strictEqual(yield* refusal(2), "signup-disabled")
        assert.strictEqual(yield* refusal(2, 7), "signup-disabled")
        assert.deepStrictEqual(database.writes, [])
        assert.strictEqual(yield* signIn(1), "known")
        assert.strictEqual(yield* signIn(1, 7), "known")
        assert.deepStrictEqual(database.query("SELECT id FROM Account"), [{ id: "known" }])
      }).pipe(Effect.provide(over("closed")))
    )

    it.scoped("for the first account ends with it, also for keys that come at the same time", () =>
      Effect.gen(function* () {
        const database = yield* TestDatabase.TestDatabase
        const outcomes = yield* Effect.forEach([1, 2, 3], (fill) => Effect.either(signIn(fill)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          outcomes.map(({ _tag }) => _tag),
          ["Right", "Left", "Left"]
        )
        assert.strictEqual(yield* refusal(4), "signup-disabled")
        yield* signIn(1, 7)
        assert.lengthOf(database.query("SELECT id FROM Account"), 1)
      }).pipe(Effect.provide(over("first-account")))
    )

    it.scoped("for the first account does not count rows that belong to the server", () =>
      Effect.gen(function* () {
        yield* addAccount("removed-sessions", "removed-sessions")
        yield* signIn(1)
        assert.strictEqual(yield* refusal(2), "signup-disabled")
      }).pipe(Effect.provide(over("first-account")))
    )

    it.scoped("for the first account gives both requests of one new key the same account", () =>
      Effect.gen(function* () {
        const [first, second] = yield* Effect.all([signIn(1), signIn(1)], { concurrency: "unbounded" })
        assert.strictEqual(first, second)
      }).pipe(Effect.provide(over("first-account")))
    )
  })
})
