import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, TestClock } from "effect"
import * as Pairing from "../../src/accounts/Pairing.ts"
import * as PairingStore from "../../src/accounts/PairingStore.ts"
import { Tokens } from "../../src/accounts/Tokens.ts"
import * as ChangePruner from "../../src/changes/ChangePruner.ts"
import { Runner, type SoleRunner } from "../../src/replicas/SoleRunner.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

/** Lets work be done by this replica only while a test says so. */
const makeRunner = () => {
  const asked: Array<string> = []
  const state = { isSole: false, asked }
  const runner: SoleRunner = {
    attempt: (work, effect) => {
      asked.push(work)
      return state.isSole ? Effect.map(effect, Option.some) : Effect.succeed(Option.none())
    }
  }
  return { state, layer: Layer.succeed(Runner, runner) }
}

describe("SoleRunner", () => {
  it.scoped("lets one replica at a time prune the feed of changes and requests for pairing", () =>
    Effect.gen(function* () {
      const { layer, state } = makeRunner()
      const tokens = Layer.succeed(Tokens, {} as Tokens["Type"])
      const work = Layer.mergeAll(
        ChangePruner.layer({ ...ChangePruner.defaults, retention: "1 minute", interval: "1 minute", pause: 0 }),
        Pairing.layer.pipe(Layer.provide(PairingStore.layer()), Layer.provide(tokens))
      )
      const context = yield* Layer.build(work.pipe(Layer.provide(layer), Layer.provideMerge(TestDatabase.layer)))
      yield* Effect.gen(function* () {
        const { addAccount, query, sqlite } = yield* TestDatabase.TestDatabase
        addAccount("a1")
        sqlite.exec(
          `INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt") VALUES ('a1', 'kv', 'k', 1, 0);
           INSERT INTO "TerminalAuthRequest" ("id", "publicKey", "createdAt", "updatedAt") VALUES ('t', 'k', 0, 0)`
        )
        const left = () => query(`SELECT 1 FROM "AccountChange" UNION ALL SELECT 2 FROM "TerminalAuthRequest"`).length
        yield* TestClock.adjust("3 hours")
        assert.sameMembers([...new Set(state.asked)], ["prune-changes", "prune-pairing"])
        assert.strictEqual(left(), 2)
        state.isSole = true
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual(left(), 0)
      }).pipe(Effect.provide(context))
    })
  )
})
