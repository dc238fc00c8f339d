/**
 * Goal: the server keeps its guarantees through the faults of the catalogue. Method: the quick scenarios of `npm run
 * prove -- faults`, one test each; scenarios that the machine cannot run are skipped with the reason. `FAULTS_SEED`
 * repeats the random moments of a run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import * as Catalogue from "../../src/faults/Catalogue.ts"
import * as Need from "../../src/faults/Need.ts"
import * as Runner from "../../src/faults/Runner.ts"
import type { Scenario } from "../../src/faults/Scenario.ts"

const seed = Number(process.env["FAULTS_SEED"] ?? Math.floor(Math.random() * 1_000_000))

const quick = Catalogue.chosen([], true)

const titleOf = ({ id, needs, title }: Scenario) => {
  const reasons = Need.reasons(needs)
  return `${id}: ${title}${reasons.length === 0 ? "" : ` (not here: ${reasons.join("; ")})`}`
}

/** A time that is missed by the server is missed again; one that the box made late is not. */
const attempts = 3

/** Everything that is no time was as it must be. */
const missedTimesOnly = ({ observations, verdict }: Runner.Outcome): boolean =>
  verdict === "failed" && observations.length > 0 && observations.every(({ holds, isTime }) => holds || isTime === true)

const outcomeOf = async (scenario: Scenario): Promise<Runner.Outcome> => {
  for (let attempt = 1; ; attempt++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const outcome = await Effect.runPromise(Runner.run(scenario, { isLong: false, seed }))
    console.log(Runner.render(outcome))
    if (attempt === attempts || !missedTimesOnly(outcome)) return outcome
  }
}

describe(`the faults of the catalogue (seed ${seed})`, () => {
  for (const scenario of typeof quick === "string" ? [] : quick) {
    const test = Need.reasons(scenario.needs).length === 0 ? it : it.skip
    test(
      titleOf(scenario),
      async (context) => {
        const outcome = await outcomeOf(scenario)
        if (outcome.verdict === "inconclusive") context.skip(outcome.reason)
        assert.strictEqual(outcome.verdict, "passed", Runner.render(outcome))
      },
      attempts * Duration.toMillis(scenario.within) + 10_000
    )
  }
})
