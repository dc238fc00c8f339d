/** F3: many short locks instead of one long one. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Box from "../support/Box.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as OutsideWriter from "../support/OutsideWriter.ts"
import * as Stage from "../support/Stage.ts"

export const F03ShortHolders: Scenario = {
  id: "F3",
  title: "two outside processes take the write lock for 1 ms, hundreds of times a second",
  injected: "two processes that hold the lock for 1 ms, with 1 ms between, for 4 s",
  promises: ["P1", "P6", "P7"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const terms = { begin: "IMMEDIATE", holdMillis: 1, gapMillis: 1 } as const
      const inject = Effect.replicateEffect(OutsideWriter.start(stage.server.databaseFile, terms), 2)
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 4000 })
      const commits = disturbed.injected.reduce((sum, writer) => sum + writer.counts().commits, 0)
      const { before, during } = disturbed
      return [
        Observe.atLeast("locks taken by the outside processes", commits, 200),
        Observe.figure("p99 of registrations before", AckFile.latencies(before.registrations).p99),
        Observe.atMost(
          "p99 of registrations",
          AckFile.latencies(during.registrations).p99,
          Box.stretched(Stage.controlDeadlineMillis),
          "ms"
        ),
        Observe.none(
          "refused registrations",
          during.registrations.filter(({ status }) => status !== 200)
        ),
        ...Disturbance.common(stage, disturbed, [])
      ]
    })
}
