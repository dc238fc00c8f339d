/** F35: heartbeats of sessions that are deleted. */
import { Effect } from "effect"
import * as Device from "../../drivers/Device.ts"
import { scrape } from "../../drivers/Scrape.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Stage from "../support/Stage.ts"
import * as Verdicts from "../support/Verdicts.ts"

export const F35DeletedSessions: Scenario = {
  id: "F35",
  title: "sessions are deleted under their heartbeats",
  injected: "20 sessions beat 10 times a second; 10 of them are deleted, and go on to beat for 4 s",
  promises: ["P1", "P11", "P14"],
  needs: [],
  isQuick: false,
  within: "60 seconds",
  run: () =>
    Effect.gen(function* () {
      const stage = yield* Stage.open({ sessionCount: 20 })
      const { device, server, sessionIds } = stage
      const load = yield* stage.load({ messagesPerSecond: 0, beatMillis: 100 })
      yield* Effect.sleep(1500)
      const outputBefore = server.output().length
      const deleted = sessionIds.slice(0, 10)
      const headers = { authorization: `Bearer ${device.token}` }
      const statuses = yield* Effect.forEach(deleted, (id) =>
        Effect.map(
          Effect.orDie(Device.request(`${server.url}/v1/sessions/${id}`, { method: "DELETE", headers })),
          ({ status }) => status
        )
      )
      yield* Effect.sleep(4000)
      const outputBytes = server.output().length - outputBefore
      const left = new Set(server.rows("SELECT id FROM Session").map(({ id }) => String(id)))
      const metrics = yield* scrape(server.url)
      const since = Date.now()
      const beats = load.entries()
      yield* load.stop
      const living = beats.filter((entry) => entry.kind !== "beat" || left.has(entry.sid))
      const entries = load.entries()
      const current = yield* Verdicts.presenceCurrent(server, { ...load, entries: () => living }, since)
      return [
        Observe.equal("answers to the deletions", [...new Set(statuses)].join(", "), "200"),
        Observe.none(
          "deleted sessions that are there again",
          deleted.filter((id) => left.has(id))
        ),
        Observe.equal("sessions that are left", left.size, 10),
        Observe.equal("flushes that failed", metrics.value("presence_flush_failures_total"), 0),
        Observe.atMost("logged meanwhile", outputBytes, 10_000, "bytes"),
        current,
        ...Verdicts.kept(server, entries)
      ]
    })
}
