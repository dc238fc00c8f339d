/** F2: a transaction that began with a read writes after another process has written. */
import { Effect } from "effect"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as OutsideWriter from "../support/OutsideWriter.ts"
import * as Stage from "../support/Stage.ts"

export const F02SnapshotConflict: Scenario = {
  id: "F2",
  title: "an outside process reads first and writes then, against the server's writes",
  injected: "a second process begins deferred transactions, reads, waits 5 ms and writes, for 4 s",
  promises: ["P1", "P7"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const { server } = stage
      const inject = OutsideWriter.start(server.databaseFile, { begin: "DEFERRED", holdMillis: 5, gapMillis: 5 })
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 4000 })
      const metrics = yield* scrape(server.url)
      const outside = disturbed.injected.counts()
      return [
        Observe.atLeast("SQLITE_BUSY_SNAPSHOT seen by the outside process", outside.snapshotConflicts, 1),
        Observe.equal("SQLITE_BUSY_SNAPSHOT in the server's log", server.output().split("BUSY_SNAPSHOT").length - 1, 0),
        Observe.equal(
          "writes that failed on a statement",
          metrics.value("writer_writes_total", { outcome: "WriteRejected" }),
          0
        ),
        ...Disturbance.common(stage, disturbed, ["DatabaseBusy", ...Disturbance.overload])
      ]
    })
}
