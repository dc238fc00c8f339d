/** F43: many apps that watch a machine which sends heartbeats all the time. */
import { Effect } from "effect"
import { randomUUID } from "node:crypto"
import type { Line } from "../../drivers/Device.ts"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Registrations from "../support/Registrations.ts"
import * as Stage from "../support/Stage.ts"

const appCount = 100
const openAppCount = 10
const daemonCount = 16
/** Of each daemon, every 50 ms: 100 a second, as many as one socket may send. */
const beatsPerTurn = 5
const turnMillis = 50
const seconds = 8

const beats = (daemons: ReadonlyArray<Line>, machineId: string) =>
  Effect.forEach(
    Array.from({ length: (seconds * 1000) / turnMillis }),
    () =>
      Effect.zipRight(
        Effect.sync(() => {
          for (const { socket } of daemons) {
            for (let index = 0; index < beatsPerTurn; index++) {
              socket.emit("machine-alive", { machineId, time: Date.now() })
            }
          }
        }),
        Effect.sleep(turnMillis)
      ),
    { discard: true }
  )

const heardBy = ({ heard }: Line) => heard.filter(({ event }) => event === "ephemeral").length

export const F43FanOut: Scenario = {
  id: "F43",
  title: "signs of life to many apps",
  injected: `${appCount} apps, then ${openAppCount}, of one account watch a machine that beats 1600 times a second`,
  promises: ["P9", "P10"],
  needs: [],
  isQuick: false,
  within: "2 minutes",
  run: () =>
    Effect.gen(function* () {
      const { device, server } = yield* Stage.open({ sessionCount: 1 })
      const machineId = randomUUID()
      yield* Effect.orDie(device.post("/v1/machines", { id: machineId, metadata: "m" }))
      const machine = { clientType: "machine-scoped", machineId } as const
      const daemons = yield* Effect.replicateEffect(device.connect(machine), daemonCount)
      const watched = (count: number) =>
        Effect.scoped(
          Effect.gen(function* () {
            const apps = yield* Effect.replicateEffect(device.connect({ clientType: "user-scoped" }), count, {
              concurrency: 8
            })
            const before = apps.map(heardBy)
            const startedAt = performance.now()
            const { observations } = yield* Registrations.compared(server.url, beats(daemons, machineId))
            // The control before it takes some seconds, too, in which nothing is sent.
            const tookSeconds = (performance.now() - startedAt) / 1000
            const most = Math.max(...apps.map((app, index) => heardBy(app) - (before[index] ?? 0)))
            const least = Math.min(...apps.map((app, index) => heardBy(app) - (before[index] ?? 0)))
            return [
              Observe.atMost(`${count} apps: the most that one of them heard`, most, Math.ceil(tookSeconds) + 2),
              Observe.atLeast(`${count} apps: the least that one of them heard`, least, seconds / 2),
              ...observations.map((each) => ({ ...each, name: `${count} apps: ${each.name}` }))
            ]
          })
        )
      const many = yield* watched(appCount)
      const few = yield* watched(openAppCount)
      const metrics = yield* scrape(server.url)
      return [
        ...many,
        ...few,
        Observe.atLeast(
          "signs of life that were not sent again",
          metrics.value("websocket_repeated_total", { outcome: "coalesced" }),
          1600
        ),
        Observe.equal("sockets that were closed", metrics.value("websocket_refusals_total"), 0)
      ]
    })
}
