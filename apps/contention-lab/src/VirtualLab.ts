/** All runs of one call in virtual time, one after the other in this process. No file, no other process. */
import { Effect } from "effect"
import type { Figures } from "./Figures.ts"
import type { Progress } from "./Lab.ts"
import * as Scenario from "./Scenario.ts"
import * as VirtualRun from "./VirtualRun.ts"

export const run = (
  scenarios: ReadonlyArray<Scenario.Scenario>,
  report: (progress: Progress) => void
): Effect.Effect<ReadonlyArray<Figures>, unknown> =>
  Effect.forEach(scenarios, (scenario, index) =>
    VirtualRun.run(scenario, (elapsedMillis) => {
      const share = Math.min(1, elapsedMillis / Scenario.loadMillis(scenario))
      report({
        share: (index + share) / scenarios.length,
        label: `${scenario.sessionCount} sessions, ${scenario.strategy}, ${Math.round(elapsedMillis / 1_000)} virtual s`
      })
    })
  ).pipe(Effect.tap(() => Effect.sync(() => report({ share: 1, label: "done" }))))
