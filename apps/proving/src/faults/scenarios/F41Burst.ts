/** F41: a client that sends at once what it buffered while its connection was down. */
import { Effect } from "effect"
import { scrape } from "../../drivers/Scrape.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Registrations from "../support/Registrations.ts"
import * as Stage from "../support/Stage.ts"

const messageCount = 2000
const reportCount = 300

export const F41Burst: Scenario = {
  id: "F41",
  title: "a burst of buffered messages",
  injected:
    `an agent reconnects and sends ${messageCount} messages of 1 KB and ${reportCount} reports at once, ` +
    "without acks",
  promises: ["P9", "P10"],
  needs: [],
  isQuick: true,
  within: "3 minutes",
  run: () =>
    Effect.gen(function* () {
      const { device, server, sessionIds } = yield* Stage.open({ sessionCount: 1 })
      const sid = sessionIds[0] ?? ""
      const agent = yield* device.connect({ clientType: "session-scoped", sessionId: sid })
      const text = "x".repeat(1000)
      const countStored = Effect.sync(
        () => server.rows(`SELECT "id" FROM "SessionMessage" UNION ALL SELECT "id" FROM "UsageReport"`).length
      )
      const burst = Effect.gen(function* () {
        agent.socket.io.engine.close()
        for (let index = 0; index < messageCount; index++) {
          agent.socket.emit("message", { sid, message: `${index} ${text}` })
          if (index < reportCount) {
            agent.socket.emit("usage-report", {
              key: `k${index}`,
              sessionId: sid,
              tokens: { total: 1 },
              cost: { total: 0 }
            })
          }
        }
        return yield* Eventually.until(countStored, (count) => count >= messageCount + reportCount, "2 minutes")
      })
      const { answer, observations } = yield* Registrations.compared(server.url, burst)
      yield* agent.settled
      const rows = server.rows(`SELECT "content" FROM "SessionMessage" ORDER BY "seq"`)
      const misplaced = rows.filter(({ content }, index) => !String(content).includes(`"c":"${index} x`))
      const metrics = yield* scrape(server.url)
      return [
        Observe.equal("messages stored", rows.length, messageCount),
        Observe.none("messages out of their order", misplaced),
        Observe.equal("reports stored", server.rows(`SELECT "id" FROM "UsageReport"`).length, reportCount),
        Observe.equal("sockets that were closed", metrics.value("websocket_refusals_total"), 0),
        Observe.figure("all stored within", `${answer.millis} ms`),
        ...observations
      ]
    })
}
