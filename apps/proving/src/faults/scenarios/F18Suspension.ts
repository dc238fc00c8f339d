/** F18: the machine sleeps. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"
import * as Watcher from "../support/Watcher.ts"

const offlineMillis = 3000

export const F18Suspension: Scenario = {
  id: "F18",
  title: "the process is suspended for longer than silence may last",
  injected:
    "SIGSTOP, and SIGCONT after 6 s (long: 90 s), twice (long: ten times) the time after which a row is offline",
  promises: ["P1", "P4", "P11", "P12"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  withinLong: "4 minutes",
  run: ({ isLong }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        environment: {
          HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: String(isLong ? 9000 : offlineMillis),
          HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000",
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "2000",
          HAPPIER_PRESENCE_START_GRACE_MS: "3000"
        }
      })
      const { server } = stage
      const watcher = yield* Watcher.make(stage)
      const inject = Effect.acquireRelease(server.signal("SIGSTOP"), () => server.signal("SIGCONT"))
      // No request is sent meanwhile: what was due then is answered when it wakes up.
      const load = { registrationsPerSecond: 2, messagesPerSecond: 2, probesPerSecond: 0 }
      const disturbed = yield* Disturbance.run(stage, {
        inject,
        holdMillis: isLong ? 90_000 : 6000,
        load,
        isDeaf: true
      })
      return [
        Observe.none("rows shown offline", watcher.offline()),
        Observe.none("times that went back", watcher.backwards()),
        ...disturbed.recovered
      ]
    })
}
