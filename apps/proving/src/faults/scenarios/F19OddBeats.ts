/** F19: heartbeats that come twice, late, in another order, from the future, or malformed. */
import { Effect, Random } from "effect"
import * as Device from "../../drivers/Device.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Stage from "../support/Stage.ts"

const junk = [NaN, -1, Infinity, "now", null, {}, [], 1e300, -1e300, undefined]

/** A time that a faulty client may send. */
const claim = Effect.gen(function* () {
  const now = Date.now()
  const kind = yield* Random.nextIntBetween(0, 5)
  if (kind === 0) return now
  if (kind === 1) return now - (yield* Random.nextIntBetween(0, 30_000))
  if (kind === 2) return now + (yield* Random.nextIntBetween(1000, 86_400_000))
  if (kind === 3) return now - (yield* Random.nextIntBetween(3_600_000, 360_000_000))
  return junk[yield* Random.nextIntBetween(0, junk.length)]
})

export const F19OddBeats: Scenario = {
  id: "F19",
  title: "heartbeats twice, late, out of order, from the future, and junk",
  injected: "3000 heartbeats with random times over one socket, each third of them twice",
  promises: ["P4", "P11"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  run: ({ seed }) =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({
        sessionCount: 1,
        environment: { HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "100", HAPPIER_SOCKET_EVENT_BURST: "100000" }
      })
      const { device, server, sessionIds } = stage
      const sessionId = sessionIds[0] ?? ""
      const line = yield* device.connect({ clientType: "session-scoped", sessionId })
      const stored = () => Number(server.rows("SELECT lastActiveAt FROM Session")[0]?.["lastActiveAt"])
      const backwards: Array<string> = []
      const future: Array<string> = []
      let newest = stored()
      for (let count = 1; count <= 3000; count++) {
        const time = yield* claim
        line.socket.emit("session-alive", { sid: sessionId, time, thinking: false })
        if (count % 3 === 0) line.socket.emit("session-alive", { sid: sessionId, time, thinking: false })
        if (count % 50 !== 0) continue
        yield* line.settled
        const now = stored()
        if (now < newest) backwards.push(`${now} after ${newest}`)
        if (now > Date.now() + 1000) future.push(`${now} at ${Date.now()}`)
        newest = Math.max(newest, now)
      }
      const witness = Device.pulse(line, "session", sessionId)
      witness.beat()
      yield* Eventually.until(Effect.sync(stored), (time) => time >= (witness.said[0] ?? Infinity))
      const metrics = yield* scrape(server.url)
      const types = server.rows("SELECT typeof(lastActiveAt) AS type FROM Session").map(({ type }) => String(type))
      return [
        Observe.none("times that went back", backwards),
        Observe.none("times from the future", future),
        Observe.equal("form of the stored time", types.join(", "), "integer"),
        Observe.atLeast("heartbeats rejected with a reason", metrics.value("presence_rejected_total"), 1),
        Observe.yes("a good heartbeat is stored afterwards", stored() >= (witness.said[0] ?? Infinity)),
        Observe.equal(
          "the socket is still the first one",
          line.heard.filter(({ event }) => event === "connect").length,
          1
        )
      ]
    }).pipe(Effect.withRandom(Random.make(seed)))
}
