/** F1: another process takes the write lock and keeps it. */
import { Effect } from "effect"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"

const hold = (stage: Stage.Stage, holdMillis: number) =>
  Effect.gen(function* () {
    const inject = ForeignLock.hold(stage.server.databaseFile)
    const disturbed = yield* Disturbance.run(stage, { inject, holdMillis })
    const observations = [
      ...Disturbance.common(stage, disturbed, ["DatabaseBusy", ...Disturbance.overload]),
      // A short lock is waited for, without a refusal.
      ...(holdMillis < 3000 ? [] : [Observe.equal("readiness at the end of the lock", disturbed.readiness, 503)])
    ]
    return observations.map((each) => ({ ...each, name: `${holdMillis / 1000} s: ${each.name}` }))
  })

export const F01ForeignLock: Scenario = {
  id: "F1",
  title: "another process holds the write lock",
  injected: "a second process does BEGIN IMMEDIATE on the file and keeps it for 3 s (long: 1, 5 and 30 s)",
  promises: ["P1", "P7", "P10", "P11", "P13", "P15"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  withinLong: "3 minutes",
  run: ({ isLong }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const rounds = yield* Effect.forEach(isLong ? [1000, 5000, 30_000] : [3000], (millis) => hold(stage, millis))
      return rounds.flat()
    })
}
