/** F9: each fsync takes its time. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Box from "../support/Box.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"
import * as Tracer from "../support/Tracer.ts"

const delayMillis = 200

export const F09SlowDisk: Scenario = {
  id: "F9",
  title: "a slow disk",
  injected: `strace on the running server: every fsync and fdatasync takes ${delayMillis} ms longer, for 6 s`,
  promises: ["P1", "P6", "P7", "P10"],
  needs: ["strace"],
  isQuick: false,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const inject = Effect.flatMap(stage.server.pid, (pid) =>
        Tracer.attach(pid, ["-e", `inject=fsync,fdatasync:delay_enter=${delayMillis * 1000}`])
      )
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 6000 })
      const { before, during } = disturbed
      return [
        Observe.atLeast("calls that were delayed", disturbed.injected.injectedCount(), 1),
        Observe.figure("p99 of registrations before", AckFile.latencies(before.registrations).p99),
        Observe.atMost(
          "p99 of registrations",
          AckFile.latencies(during.registrations).p99,
          Box.stretched(Stage.controlDeadlineMillis),
          "ms"
        ),
        ...Disturbance.common(stage, disturbed, [...Disturbance.overload])
      ]
    })
}
