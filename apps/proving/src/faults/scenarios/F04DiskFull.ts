/** F4: no room on the disk, and then there is some again. */
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Mount from "../support/Mount.ts"
import * as Stage from "../support/Stage.ts"

/** Takes all the room there is, until the scope closes. */
const fill = (directory: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const ballast = path.join(directory, "ballast")
      const descriptor = fs.openSync(ballast, "w")
      try {
        for (const size of [1 << 20, 4096]) {
          try {
            for (;;) fs.writeSync(descriptor, Buffer.alloc(size))
          } catch (error) {
            if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error
          }
        }
      } finally {
        fs.closeSync(descriptor)
      }
      return ballast
    }),
    (ballast) => Effect.sync(() => fs.rmSync(ballast))
  )

export const F04DiskFull: Scenario = {
  id: "F4",
  title: "the disk is full",
  injected: "the data is on a tmpfs of 96 MiB, and another file takes all that is left of it for 6 s",
  promises: ["P1", "P7", "P10", "P11", "P13", "P15"],
  needs: ["root", "tmpfs"],
  isQuick: false,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const disk = yield* Mount.tmpfs(96)
      const stage = yield* Stage.open({ place: { directory: path.join(disk, "data") } })
      const disturbed = yield* Disturbance.run(stage, { inject: fill(disk), holdMillis: 6000 })
      const reads = yield* stage.device.get("/v1/machines")
      return [
        Observe.atLeast("registrations refused", Disturbance.refusedCount(disturbed.during), 1),
        Observe.equal("readiness while the disk is full", disturbed.readiness, 503),
        Observe.equal("reading the machines", reads.status, 200),
        ...Disturbance.common(stage, disturbed, ["DatabaseFull", ...Disturbance.overload])
      ]
    })
}
