/** F26: the event loop stands still. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Hook from "../support/Hook.ts"
import * as Stage from "../support/Stage.ts"
import * as Verdicts from "../support/Verdicts.ts"
import * as Watcher from "../support/Watcher.ts"

const stallMillis = 5000

export const F26LoopStall: Scenario = {
  id: "F26",
  title: "the event loop stands still for longer than silence may last",
  injected: "a busy loop of 5 s in the main thread of the server; rows are offline after 3 s of silence",
  promises: ["P1", "P11", "P12"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const hook = yield* Hook.make
      const stage = yield* Stage.open({
        environment: {
          ...hook.environment,
          HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "3000",
          HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000",
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "1000",
          HAPPIER_PRESENCE_START_GRACE_MS: "2000"
        }
      })
      const watcher = yield* Watcher.make(stage)
      const inject = hook.order(stage.server, { action: "stall", millis: stallMillis })
      const load = { registrationsPerSecond: 5, messagesPerSecond: 5, probesPerSecond: 0 }
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: stallMillis, load, isDeaf: true })
      // The server's own metric begins again with each scrape, also with one that timed out.
      const { worst } = AckFile.latencies(disturbed.during.registrations)
      return [
        Observe.atLeast("slowest answer in the stall", worst, stallMillis - 1000, "ms"),
        Observe.none("rows shown offline", watcher.offline()),
        Observe.none("times that went back", watcher.backwards()),
        ...disturbed.recovered,
        ...Verdicts.kept(stage.server, disturbed.entries)
      ]
    })
}
