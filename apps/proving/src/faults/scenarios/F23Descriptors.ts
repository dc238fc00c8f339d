/** F23: no descriptor is left. */
import { Duration, Effect } from "effect"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Mount from "../support/Mount.ts"
import * as Resident from "../support/Resident.ts"
import * as Stage from "../support/Stage.ts"
import * as Verdicts from "../support/Verdicts.ts"

export const F23Descriptors: Scenario = {
  id: "F23",
  title: "out of descriptors",
  injected: "prlimit --nofile on the running server, to what it has open, while 50 new sockets connect for 4 s",
  promises: ["P1", "P11", "P14"],
  needs: ["prlimit"],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open()
      const { device, server, sessionIds } = stage
      const load = yield* stage.load({ probesPerSecond: 0, registrationsPerSecond: 5 })
      yield* Effect.sleep(1000)
      const outputBefore = server.output().length
      const from = Date.now()
      const newcomers = yield* Effect.scoped(
        Effect.gen(function* () {
          const pid = String(yield* server.pid)
          const open = yield* Resident.descriptorCount(server)
          const limit = yield* Mount.command("prlimit", "--pid", pid, "--nofile", "--noheadings", "--output", "SOFT")
          yield* Effect.acquireRelease(Mount.command("prlimit", "--pid", pid, `--nofile=${open}:`), () =>
            Mount.command("prlimit", "--pid", pid, `--nofile=${limit.trim()}:`)
          )
          const lines = yield* Effect.replicateEffect(
            Device.dial(server.url, { token: device.token, clientType: "session-scoped", sessionId: sessionIds[0] }),
            50
          )
          yield* Effect.sleep(4000)
          return lines.filter(({ socket }) => socket.connected).length
        })
      )
      const to = Date.now()
      const outputBytes = server.output().length - outputBefore
      const [back] = yield* Effect.timed(Effect.scoped(device.connect({ clientType: "user-scoped" })))
      const recovered = yield* Verdicts.recovered(server, load, to)
      yield* load.stop
      const entries = load.entries()
      const messages = AckFile.between(AckFile.of(entries, "message"), from, to)
      return [
        Observe.atMost("of 50 newcomers let in meanwhile", newcomers, 10),
        Observe.atLeast(
          "messages over open sockets stored meanwhile",
          messages.filter(({ outcome }) => outcome === "stored").length,
          1
        ),
        Observe.none(
          "messages over open sockets refused",
          messages.filter(({ outcome }) => outcome !== "stored")
        ),
        Observe.atMost("logged meanwhile", outputBytes, 100_000, "bytes"),
        Observe.atMost("a newcomer was let in after", Duration.toMillis(back), 5000, "ms"),
        ...recovered,
        ...Verdicts.kept(server, entries)
      ]
    })
}
