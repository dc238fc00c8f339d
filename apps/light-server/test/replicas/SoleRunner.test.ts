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
  it.scoped("is asked before work in the background, and the work waits until it agrees", () =>
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
          `INSERT INTO "TerminalAuthRequest" ("id", "publicKey", "createdAt", "updatedAt") VALUES ('t', 'k', 0, 0)`
        )
        const left = () => query(`SELECT "id" FROM "TerminalAuthRequest"`)
        yield* TestClock.adjust("3 hours")
        assert.sameMembers([...new Set(state.asked)], ["prune-changes", "prune-pairing"])
        assert.strictEqual(left().length, 1)
        state.isSole = true
        for (let n = 0; n < 3; n++) yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(left(), [])
      }).pipe(Effect.provide(context))
    })
  )
})
