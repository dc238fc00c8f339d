/** F20: all clients reconnect at once. */
import { Effect } from "effect"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as AckFile from "../support/AckFile.ts"
import * as Box from "../support/Box.ts"
import * as Resident from "../support/Resident.ts"
import * as Stage from "../support/Stage.ts"
import * as Swarm from "../support/Swarm.ts"
import * as Verdicts from "../support/Verdicts.ts"

const accountCount = 4
const count = 2000

export const F20ReconnectStorm: Scenario = {
  id: "F20",
  title: "two thousand sockets come back after a crash",
  injected: `SIGKILL and a new start under ${count} sockets of ${accountCount} accounts, while machines register`,
  promises: ["P1", "P6", "P7", "P9", "P11", "P12"],
  needs: [],
  isQuick: false,
  within: "3 minutes",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        environment: { HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000", HAPPIER_PRESENCE_START_GRACE_MS: "30000" }
      })
      const { server } = stage
      const accounts = yield* Effect.replicateEffect(
        Effect.gen(function* () {
          const device = yield* Device.login(server.url, Client.make())
          const tags = Array.from({ length: 25 }, (_, index) => `tag-${index}`)
          const ids = yield* Effect.forEach(tags, (tag) => Device.openSession(device, tag), { concurrency: 4 })
          return { token: device.token, ids }
        }),
        accountCount
      )
      const empty = yield* Resident.mebibytes(server)
      const swarm = yield* Swarm.start({
        url: server.url,
        count,
        tokens: accounts.map(({ token }) => token),
        sessionIds: accounts.map(({ ids }) => ids)
      })
      const arrived = yield* Eventually.until(Effect.sync(swarm), ({ connected }) => connected === count, "90 seconds")
      const full = yield* Resident.mebibytes(server)
      const load = yield* stage.load({ registrationsPerSecond: 10, messagesPerSecond: 0, beatMillis: 1000 })
      yield* Effect.sleep(2000)
      yield* server.end("SIGKILL")
      yield* server.start
      const startedAt = Date.now()
      const back = yield* Eventually.until(
        Effect.sync(swarm),
        ({ connected, connections }) => connected === count && connections >= 2 * count,
        "90 seconds"
      )
      const metrics = yield* scrape(server.url)
      const backAt = Date.now()
      yield* Effect.sleep(3000)
      yield* load.stop
      const entries = load.entries()
      const registrations = AckFile.between(AckFile.of(entries, "registration"), startedAt, backAt)
      const perSocket = ((full - empty) * 1024) / count
      return [
        Observe.figure("all connected for the first time after", `${arrived.millis} ms`),
        Observe.atMost("all back after the start", back.millis, Box.stretched(20_000), "ms"),
        Observe.none("rows that were announced as offline", swarm().offline === 0 ? [] : [swarm()]),
        Observe.atMost("memory of a socket", perSocket, 60, "KiB"),
        Observe.figure("handshakes refused for now", metrics.value("websocket_refusals_total")),
        Observe.figure("worst gap of the event loop", metrics.loopGapMillis),
        ...Verdicts.answered(registrations, ["PermitTimeout", "LaneOverflow", "WriteUnconfirmed"]),
        ...Verdicts.kept(server, entries)
      ]
    })
}
