/** F38: clients that ask for large answers and do not read them. */
import { Effect } from "effect"
import net from "node:net"
import * as Client from "../../drivers/AccountClient.ts"
import * as Device from "../../drivers/Device.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Bystander from "../support/Bystander.ts"
import * as Resident from "../support/Resident.ts"
import * as Stage from "../support/Stage.ts"

const connectionCount = 150
const attackMillis = 8000

/** Asks for the list of sessions and reads nothing of it. */
const stuck = (url: string, token: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { hostname, port } = new URL(url)
      const socket = net.connect(Number(port), hostname).pause()
      socket.on("error", () => {})
      socket.write(`GET /v1/sessions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
      return socket
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

export const F38UnreadAnswers: Scenario = {
  id: "F38",
  title: "large answers that are not read",
  injected: `${connectionCount} connections ask for a list of 7.5 MB and do not read it`,
  promises: ["P7", "P9"],
  needs: [],
  isQuick: true,
  within: "4 minutes",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ sessionCount: 1 })
      const { server } = stage
      const reader = yield* Device.login(server.url, Client.make())
      yield* Effect.forEach(Array.from({ length: 8 }), (_, index) =>
        Effect.orDie(reader.post("/v1/sessions", { tag: `large ${index}`, metadata: "x".repeat(930_000) }))
      )
      // As much as it takes when the client reads.
      const size = yield* Effect.map(Effect.orDie(reader.get("/v1/sessions")), ({ text }) => text.length)
      yield* Effect.replicateEffect(Effect.orDie(reader.get("/v1/sessions")), 3)
      const attack = Effect.gen(function* () {
        yield* Effect.replicateEffect(stuck(server.url, reader.token), connectionCount)
        yield* Effect.sleep(attackMillis)
        return yield* scrape(server.url)
      })
      const { answer, before, peak } = yield* Resident.peakDuring(server, Bystander.during(stage, attack))
      const waited = answer.answer.value("http_waiting_bytes")
      const rest = yield* Eventually.until(
        scrape(server.url),
        (metrics) => metrics.value("http_waiting_bytes") === 0,
        "40 seconds"
      )
      const cut = yield* scrape(server.url)
      return [
        ...answer.observations,
        Observe.atLeast("bytes of the list", size, 7_000_000),
        Observe.atMost("more memory than when it was read", peak - before, 128, "MiB"),
        Observe.atMost("bytes that waited to be read", waited, 32 * 1_048_576),
        Observe.atLeast("requests that were refused for that", cut.value("http_shed_total", { reason: "bytes" }), 1),
        Observe.atLeast("connections that were cut for that", cut.value("http_slow_readers_total"), 1),
        Observe.figure("nothing waited any more after", `${rest.millis} ms`)
      ]
    })
}
