/** F6: the database may not grow any more. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Hook from "../support/Hook.ts"
import * as Stage from "../support/Stage.ts"

export const F06DatabaseCap: Scenario = {
  id: "F6",
  title: "the database may not have more pages",
  injected: "PRAGMA max_page_count on the write connection of the running server, to what there is, for 4 s",
  promises: ["P1", "P7", "P10", "P11", "P13", "P15"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const hook = yield* Hook.make
      const stage = yield* Stage.open({ environment: hook.environment })
      const thread = Hook.writerThread
      const inject = Effect.acquireRelease(hook.order(stage.server, { action: "cap", pages: 0, thread }), () =>
        hook.order(stage.server, { action: "cap", pages: 2 ** 30, thread })
      )
      // Presence rewrites rows that are there already, which goes on; what is new does not fit.
      const load = { registrationsPerSecond: 40, messagesPerSecond: 20 }
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 4000, load })
      return [
        Observe.atLeast("registrations refused", Disturbance.refusedCount(disturbed.during), 1),
        ...Disturbance.common(stage, disturbed, ["DatabaseFull", ...Disturbance.overload])
      ]
    })
}
