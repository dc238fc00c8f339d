/** F17: the wall clock jumps. */
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import * as Need from "../Need.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Stage from "../support/Stage.ts"
import * as Verdicts from "../support/Verdicts.ts"
import * as Watcher from "../support/Watcher.ts"

/** A wall clock for one process, which can be set; its monotonic clock goes on. */
const clock = Effect.map(TemporaryDirectory.make, (directory) => {
  const file = path.join(directory, "offset")
  const set = (offset: string) => Effect.sync(() => fs.writeFileSync(file, offset))
  const environment = {
    LD_PRELOAD: Need.faketimeLibrary() ?? "",
    FAKETIME_TIMESTAMP_FILE: file,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    FAKETIME_CACHE_DURATION: "1"
  }
  return { set, environment }
})

/** Time to come back after the clock was set. */
const graceMillis = 5000

/** Each jump begins a new grace; none of them is over before the next. */
const phaseMillis = 3500

export const F17ClockJump: Scenario = {
  id: "F17",
  title: "the wall clock jumps one hour ahead, then two hours back, then to the right time",
  injected: "libfaketime in the server, its offset rewritten while it runs, 3.5 s each",
  promises: ["P1", "P4", "P7", "P11", "P12"],
  needs: ["faketime"],
  isQuick: false,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const { environment, set } = yield* clock
      yield* set("+0")
      const stage = yield* Stage.open({
        environment: {
          ...environment,
          // Short enough for each jump to look like a silence that was too long.
          HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "60000",
          HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000",
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "500",
          HAPPIER_PRESENCE_START_GRACE_MS: String(graceMillis)
        }
      })
      const { device, server } = stage
      const load = yield* stage.load()
      // The grace of the start is over.
      yield* Effect.sleep(graceMillis + 1500)
      const watcher = yield* Watcher.make(stage)
      const began = Date.now()
      const seen: Array<string> = []
      const tokens: Array<string> = []
      const offline: Array<string> = []
      for (const offset of ["+3600", "-7200", "+0"]) {
        yield* set(offset)
        yield* Effect.sleep(phaseMillis)
        // The server's own time.
        const answer = yield* Effect.orDie(device.get("/v1/machines"))
        seen.push(`${Math.round((Date.parse(answer.headers.get("date") ?? "") - Date.now()) / 60_000)} min`)
        tokens.push(String(answer.status))
        offline.push(`${watcher.offline().length} at ${offset}`)
      }
      // That of the last jump is over, too.
      yield* Effect.sleep(graceMillis)
      const current = yield* Verdicts.presenceCurrent(server, load, Date.now())
      const ahead = watcher.newest() - Date.now()
      yield* load.stop
      const entries = load.entries()
      const registrations = AckFile.between(AckFile.of(entries, "registration"), began)
      return [
        Observe.equal("time that the server had", seen.join(", "), "60 min, -120 min, 0 min"),
        Observe.equal("answers to a token of before", tokens.join(", "), "200, 200, 200"),
        Observe.figure("rows shown offline until the end of each jump", offline.join(", ")),
        Observe.none("rows shown offline", watcher.offline()),
        Observe.none("times that went back", watcher.backwards()),
        Observe.atMost("newest time in the file ahead of the right one", ahead, 5000, "ms"),
        Observe.none(
          "refused registrations",
          registrations.filter(({ status }) => status !== 200)
        ),
        ...Verdicts.alive(AckFile.between(AckFile.of(entries, "probe"), began)),
        current,
        ...Verdicts.kept(server, entries)
      ]
    })
}
