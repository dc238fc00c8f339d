/** F5: the file may not grow any more. */
import { Effect } from "effect"
import fs from "node:fs"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Mount from "../support/Mount.ts"
import * as Stage from "../support/Stage.ts"

/** Lets no file of the process grow beyond what the log has now. */
const limit = (server: Stage.Stage["server"]) =>
  Effect.gen(function* () {
    const pid = String(yield* server.pid)
    const { size } = fs.statSync(`${server.databaseFile}-wal`)
    yield* Effect.acquireRelease(Mount.command("prlimit", "--pid", pid, `--fsize=${size}:`), () =>
      // The process has ended, perhaps.
      Effect.exit(Mount.command("prlimit", "--pid", pid, "--fsize=unlimited:"))
    )
  })

export const F05FileSizeLimit: Scenario = {
  id: "F5",
  title: "no file may grow: ulimit -f",
  injected: "prlimit --fsize on the running server, to the size that the log has, for 4 s",
  promises: ["P1", "P7", "P11", "P13"],
  needs: ["prlimit"],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ isSupervised: true })
      const disturbed = yield* Disturbance.run(stage, {
        inject: limit(stage.server),
        holdMillis: 4000,
        isDeaf: true,
        downMillis: 5000
      })
      return [
        Observe.atLeast("registrations refused", Disturbance.refusedCount(disturbed.during), 1),
        ...Disturbance.supervised(stage, disturbed, ["DatabaseIo", "DatabaseFull", ...Disturbance.overload])
      ]
    })
}
