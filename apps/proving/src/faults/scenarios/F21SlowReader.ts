/** F21: a client that does not read what it is sent. */
import { Effect } from "effect"
import type { Socket } from "node:net"
import { scrape } from "../../drivers/Scrape.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Resident from "../support/Resident.ts"
import * as Stage from "../support/Stage.ts"

const messageBytes = 32_768
const messageCount = 600

export const F21SlowReader: Scenario = {
  id: "F21",
  title: "a client that stops reading",
  injected: `an app stops reading while ${messageCount} messages of 32 KiB are sent to it; 8 MiB may wait for it`,
  promises: ["P9", "P10"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        sessionCount: 1,
        environment: {
          HAPPIER_BODY_LIMIT_BYTES: "65536",
          HAPPIER_SOCKET_EVENTS_PER_SECOND: "10000",
          HAPPIER_SOCKET_EVENT_BURST: "10000"
        }
      })
      const { device, server, sessionIds } = stage
      const sid = sessionIds[0] ?? ""
      const slow = yield* device.connect({ clientType: "user-scoped" })
      const quick = yield* device.connect({ clientType: "user-scoped" })
      const agent = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
      const text = "x".repeat(messageBytes)
      const say = (name: string) =>
        Effect.forEach(
          Array.from({ length: messageCount }, (_, index) => `${name}${index}`),
          (localId) => agent.ask("message", { sid, message: text, localId }),
          { concurrency: 8 }
        )
      yield* say("warm-up ")
      const whenAllRead = yield* Resident.peakDuring(server, say("control "))
      // Only the library has the connection below the socket.
      const transport = slow.socket.io.engine.transport as unknown as { readonly ws: { readonly _socket: Socket } }
      const connection = transport.ws["_socket"]
      connection.pause()
      const { answer, peak } = yield* Resident.peakDuring(server, say("m"))
      const heard = () => quick.heard.filter(({ event }) => event === "update").length
      yield* Eventually.until(Effect.sync(heard), (count) => count >= 3 * messageCount)
      const metrics = yield* scrape(server.url)
      connection.resume()
      const back = yield* Eventually.until(
        Effect.sync(() => slow.heard.filter(({ event }) => event === "connect").length),
        (connections) => connections === 2,
        "20 seconds"
      )
      return [
        Observe.equal("messages stored", answer.filter((ack) => ack?.ok === true).length, messageCount),
        Observe.equal("messages that the other app heard", heard(), 3 * messageCount),
        Observe.atLeast(
          "sockets closed for reading too slowly",
          metrics.value("websocket_refusals_total", { reason: "slow-reader" }),
          1
        ),
        Observe.atMost("more memory than when it read", peak - whenAllRead.peak, 64, "MiB"),
        Observe.atMost(
          "worst gap of the event loop",
          metrics.loopGapMillis,
          Stage.loopGapLimitMillis({ loopGapMillis: 0 }),
          "ms"
        ),
        Observe.figure("it came back, after it began to read again, within", `${back.millis} ms`)
      ]
    })
}
