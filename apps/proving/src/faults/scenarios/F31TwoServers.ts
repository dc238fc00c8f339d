/** F31: a second server is started on the same directory by mistake. */
import { Effect, Option } from "effect"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Box from "../support/Box.ts"
import * as Stage from "../support/Stage.ts"
import * as Verdicts from "../support/Verdicts.ts"

export const F31TwoServers: Scenario = {
  id: "F31",
  title: "a second server on the same directory",
  injected: "another start in the data directory of a server that runs under load; again after kill -9 of the first",
  promises: ["P1", "P7"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const { server } = stage
      const load = yield* stage.load()
      yield* Effect.sleep(1000)
      const second = yield* BuiltServer.make(Stage.environment, { directory: server.directory })
      const from = Date.now()
      yield* second.launch
      const end = yield* Effect.timeoutOption(second.ended, Box.stretched(10_000))
      const pid = yield* server.pid
      const said = second.output()
      yield* second.signal("SIGKILL")
      yield* second.ended
      yield* Effect.sleep(1000)
      yield* load.stop
      const entries = load.entries()
      const registrations = AckFile.between(AckFile.of(entries, "registration"), from)
      const kept = Verdicts.kept(server, entries)
      // What a killed server leaves behind must not keep the next one from starting.
      yield* server.end("SIGKILL")
      const again = yield* Effect.option(Effect.timeout(second.start, Box.stretched(10_000)))
      return [
        Observe.equal(
          "exit code of the second",
          Option.match(end, { onNone: () => "it serves", onSome: ({ code }) => code ?? -1 }),
          6
        ),
        Observe.yes("it names the process", said.includes(String(pid)), said.slice(-300)),
        Observe.yes("it names the place", said.includes(server.directory), said.slice(-300)),
        Observe.none(
          "registrations that the first refused",
          registrations.filter(({ status }) => status !== 200)
        ),
        ...kept,
        Observe.yes("a start after kill -9 of the first", Option.isSome(again))
      ]
    })
}
