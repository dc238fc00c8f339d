/** F7: the disk reports errors on sync. */
import { Effect } from "effect"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Stage from "../support/Stage.ts"
import * as Tracer from "../support/Tracer.ts"

export const F07FsyncError: Scenario = {
  id: "F7",
  title: "fsync fails",
  injected: "strace on the running server: from the third on, every fsync and fdatasync fails with EIO, for 4 s",
  promises: ["P1", "P7", "P11", "P13"],
  needs: ["strace"],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ isSupervised: true })
      const inject = Effect.flatMap(stage.server.pid, (pid) =>
        Tracer.attach(pid, ["-e", "inject=fsync,fdatasync:error=EIO:when=3+"])
      )
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 4000, isDeaf: true, downMillis: 5000 })
      return [
        Observe.atLeast("calls that failed", disturbed.injected.injectedCount(), 1),
        Observe.atLeast("registrations refused", Disturbance.refusedCount(disturbed.during), 1),
        ...Disturbance.supervised(stage, disturbed, ["DatabaseIo", "DatabaseBusy", ...Disturbance.overload])
      ]
    })
}
