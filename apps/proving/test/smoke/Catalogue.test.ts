/**
 * Goal: the fault catalogue is complete, and its runner calls a scenario passed only when that has observed something.
 * Method: scenarios made here, which inject nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Catalogue from "../../src/faults/Catalogue.ts"
import * as Observe from "../../src/faults/Observe.ts"
import * as Runner from "../../src/faults/Runner.ts"
import type { Observation, Scenario } from "../../src/faults/Scenario.ts"

describe("the catalogue", () => {
  it("has each fault of the list once, with a scenario or with a reason why there is none", () => {
    const numbers = Array.from({ length: 45 }, (_, index) => `F${index + 1}`)
    const known = [...Catalogue.scenarios, ...Catalogue.absent].map(({ id }) => id)
    assert.deepStrictEqual(
      known.toSorted((left, right) => Number(left.slice(1)) - Number(right.slice(1))),
      numbers
    )
  })

  it("finds a scenario by its number, however it is written, and no other", () => {
    const ids = (...names: ReadonlyArray<string>) => {
      const found = Catalogue.chosen(names, false)
      return typeof found === "string" ? found : found.map(({ id }) => id)
    }
    assert.deepStrictEqual(ids("f01", "F15"), ["F1", "F15"])
    assert.strictEqual(ids("F1", "F99"), "F99")
    assert.include(ids("F34"), "no remote store")
  })
})

describe("a scenario", () => {
  const scenario = (run: Scenario["run"], needs: Scenario["needs"] = []): Scenario => ({
    id: "F0",
    title: "nothing",
    injected: "nothing",
    promises: ["P1"],
    needs,
    isQuick: false,
    within: "200 millis",
    run
  })
  const verdictOf = (run: Scenario["run"]) =>
    Effect.map(Runner.run(scenario(run), { isLong: false, seed: 1 }), ({ verdict }) => verdict)
  const sees = (...observations: ReadonlyArray<Observation>) => verdictOf(() => Effect.succeed(observations))

  it.live("fails when one observation does not hold, and when it looked at nothing", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* sees(Observe.atMost("a", 1, 1)), "passed")
      assert.strictEqual(yield* sees(Observe.atMost("a", 1, 1), Observe.atMost("b", 2, 1)), "failed")
      assert.strictEqual(yield* sees(Observe.atLeast("a", Number.NaN, 0)), "failed")
      assert.strictEqual(yield* sees(Observe.none("a", ["b"])), "failed")
      assert.strictEqual(yield* sees(Observe.figure("a", 1)), "failed")
      assert.strictEqual(yield* sees(), "failed")
    })
  )

  it("is inconclusive when only times are missed, on a box that is too busy", () => {
    const late = Observe.atMost("an answer", 9, 1, "ms")
    const wrong = Observe.atMost("lost", 1, 0)
    assert.strictEqual(Runner.verdictOf([late], false), "failed")
    assert.strictEqual(Runner.verdictOf([late], true), "inconclusive")
    assert.strictEqual(Runner.verdictOf([late, wrong], true), "failed")
    assert.strictEqual(Runner.verdictOf([Observe.atMost("an answer", Number.NaN, 1, "ms")], true), "failed")
  })

  it.live("fails when it breaks or does not end, and takes down what it started", () =>
    Effect.gen(function* () {
      let isDown = false
      const mess = Effect.addFinalizer(() => Effect.sync(() => (isDown = true)))
      assert.strictEqual(yield* verdictOf(() => Effect.zipRight(mess, Effect.die("broken"))), "failed")
      assert.isTrue(isDown)
      isDown = false
      assert.strictEqual(yield* verdictOf(() => Effect.zipRight(mess, Effect.never)), "failed")
      assert.isTrue(isDown)
    })
  )
})
