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
import * as Registrations from "../../src/faults/support/Registrations.ts"

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

  it.live("is inconclusive, with the load, when the control of a comparison was late itself", () =>
    Effect.gen(function* () {
      const doubt = Registrations.doubtOf(122, 0.62)
      assert.strictEqual(
        doubt,
        "registrations took 122 ms without the load already, and other programs used 62 % of the processors"
      )
      assert.isUndefined(Registrations.doubtOf(100, 0.25))
      const p99 = (millis: number) => Observe.unless(doubt, Observe.atMost("p99", millis, 294, "ms"))
      const slowest = (millis: number) => Observe.excused(doubt, Observe.atMost("slowest", millis, 2000, "ms"))
      // A comparison proves nothing, met or missed; a limit that needs no control is met when it is met.
      for (const millis of [333, 100]) assert.strictEqual(Runner.verdictOf([p99(millis)], false), "inconclusive")
      assert.strictEqual(Runner.verdictOf([slowest(333)], false), "passed")
      assert.strictEqual(Runner.verdictOf([slowest(3000)], false), "inconclusive")
      assert.strictEqual(Runner.verdictOf([p99(333), Observe.none("lost", ["a row"])], true), "failed")
      assert.strictEqual(
        Runner.verdictOf([Observe.unless(undefined, Observe.atMost("p99", 2, 1, "ms"))], false),
        "failed"
      )

      const sees = () => Effect.succeed([p99(333), slowest(333)])
      const outcome = yield* Runner.run(scenario(sees), { isLong: false, seed: 1 })
      assert.strictEqual(outcome.verdict, "inconclusive")
      const text = Runner.render(outcome)
      assert.match(text, /^ {2}unclear {3}p99: 333 \(at most 294 ms\)$/m)
      assert.match(text, /^ {2}because {3}inconclusive, box too busy.*: registrations took .* 62 % of the processors$/m)
      assert.notInclude(text, "proves")
    })
  )

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
