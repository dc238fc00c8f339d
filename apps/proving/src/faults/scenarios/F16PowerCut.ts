/** F16: the power fails. The disk then has the content of its image. */
import Sqlite from "better-sqlite3"
import { Effect, Random } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Server } from "../../drivers/BuiltServer.ts"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Auditor from "../support/Auditor.ts"
import * as Mount from "../support/Mount.ts"
import * as Stage from "../support/Stage.ts"

/** Reads a file that no server has touched since the power came back. */
const rowsOf = (file: string): Effect.Effect<Pick<Server, "rows">> =>
  Effect.sync(() => ({
    rows: (sql, ...params) => {
      const sqlite = new Sqlite(file)
      try {
        return sqlite.prepare(sql).all(...params) as ReadonlyArray<Record<string, unknown>>
      } finally {
        sqlite.close()
      }
    }
  }))

/** Cuts the power at a random moment of a load; answers with what the disk has of what was acknowledged until then. */
const cut = (environment: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const disk = yield* Mount.image(96)
    const stage = yield* Stage.open({ environment, place: { directory: path.join(disk.directory, "data") } })
    const load = yield* stage.load({ registrationsPerSecond: 60, messagesPerSecond: 60, probesPerSecond: 0 })
    yield* Effect.sleep(yield* Random.nextIntBetween(800, 3500))
    // It acknowledges nothing more while the image is copied, and nothing afterwards.
    yield* stage.server.signal("SIGSTOP")
    const copy = path.join(yield* TemporaryDirectory.make, "disk.img")
    yield* Effect.sync(() => fs.copyFileSync(disk.file, copy))
    yield* stage.server.signal("SIGKILL")
    yield* stage.server.ended
    yield* load.stop
    const restored = yield* Mount.imageOf(copy)
    const file = path.join(restored, "data", path.basename(stage.server.databaseFile))
    return Auditor.audit(yield* rowsOf(file), load.entries())
  }).pipe(Effect.scoped)

export const F16PowerCut: Scenario = {
  id: "F16",
  title: "a power cut",
  injected:
    "the data is on ext4 in a loop-mounted file, which is copied in mid-run; the copy is mounted: 3 times (long: 50)",
  promises: ["P1"],
  needs: ["root", "loop"],
  isQuick: false,
  within: "3 minutes",
  withinLong: "30 minutes",
  run: ({ isLong, seed }) =>
    Effect.gen(function* () {
      const cuts = yield* Effect.replicateEffect(cut(), isLong ? 50 : 3)
      // The control group: commits that only survive a crash must be seen to be lost, or the cut has no effect.
      const lazy = yield* Effect.replicateEffect(cut({ HAPPIER_SQLITE_SYNCHRONOUS: "NORMAL" }), 2)
      return [
        Observe.atLeast(
          "acknowledged registrations and messages",
          cuts.reduce((sum, { acknowledgedCount }) => sum + acknowledgedCount, 0),
          cuts.length
        ),
        Observe.none(
          "of these not on the disk",
          cuts.flatMap(({ lost }) => lost)
        ),
        Observe.none(
          "messages twice or out of order",
          cuts.flatMap(({ torn }) => torn)
        ),
        Observe.none(
          "files that are not intact",
          cuts.filter(({ integrity }) => integrity !== "ok")
        ),
        Observe.atLeast(
          "lost where commits do not wait for the disk (control group)",
          lazy.reduce((sum, { lost }) => sum + lost.length, 0),
          1
        )
      ]
    }).pipe(Effect.withRandom(Random.make(seed)))
}
