/** F10: the files may not be written. */
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as TemporaryDirectory from "../../drivers/TemporaryDirectory.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Disturbance from "../support/Disturbance.ts"
import * as Mount from "../support/Mount.ts"
import * as Stage from "../support/Stage.ts"

/** A user id that owns no files. */
const nobody = 65534

/** A server of another user, on a data directory whose owner allows others to read only. */
const startAsNobody = Effect.gen(function* () {
  const directory = path.join(yield* TemporaryDirectory.make, "data")
  fs.chmodSync(path.dirname(directory), 0o755)
  const owner = yield* BuiltServer.start({}, { directory })
  yield* owner.end("SIGTERM")
  for (const name of fs.readdirSync(directory)) {
    fs.chownSync(path.join(directory, name), nobody, nobody)
    fs.chmodSync(path.join(directory, name), 0o400)
  }
  fs.chmodSync(directory, 0o555)
  const through = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"]
  const other = yield* BuiltServer.make({}, { directory, through })
  yield* other.launch
  const { code } = yield* other.ended
  const said = other.output()
  return [
    Observe.equal("start on a read-only directory: exit code", code ?? -1, 4),
    Observe.yes("it names the path", said.includes(directory), said.slice(-300)),
    Observe.yes("it reports that it is read-only", /read-?only|EACCES|permission/i.test(said), said.slice(-300))
  ]
})

/** The file cannot be written, not even through an open descriptor, until the scope closes. */
const freeze = (file: string) =>
  Effect.acquireRelease(Mount.command("chattr", "+i", file), () => Mount.command("chattr", "-i", file))

export const F10ReadOnly: Scenario = {
  id: "F10",
  title: "the files may not be written",
  injected: "a start as another user on a read-only directory; chattr +i on the log of a running server, for 4 s",
  promises: ["P1", "P7", "P11", "P13"],
  needs: ["root", "setpriv", "chattr"],
  isQuick: false,
  within: "90 seconds",
  run: () =>
    Effect.gen(function* () {
      const start = yield* startAsNobody
      const stage = yield* Stage.open({ isSupervised: true })
      const inject = freeze(`${stage.server.databaseFile}-wal`)
      const disturbed = yield* Disturbance.run(stage, { inject, holdMillis: 4000, isDeaf: true, downMillis: 5000 })
      return [
        ...start,
        Observe.atLeast("registrations refused", Disturbance.refusedCount(disturbed.during), 1),
        ...Disturbance.supervised(stage, disturbed, ["DatabaseIo", "DatabaseReadonly", ...Disturbance.overload])
      ]
    })
}
