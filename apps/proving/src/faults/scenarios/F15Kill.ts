/** F15: kill -9 at random moments, those of the start included. */
import { Effect, Random } from "effect"
import * as Client from "../../drivers/AccountClient.ts"
import * as BuiltServer from "../../drivers/BuiltServer.ts"
import * as Device from "../../drivers/Device.ts"
import * as Observe from "../Observe.ts"
import type { Observation, Scenario } from "../Scenario.ts"
import * as Auditor from "../support/Auditor.ts"
import * as Box from "../support/Box.ts"
import * as LoadGenerator from "../support/LoadGenerator.ts"
import * as Stage from "../support/Stage.ts"

/** Servers that are killed side by side, each with its own file, so that the box is not idle while one starts. */
const laneCount = 2

const tickMillis = 300

interface Tally {
  readonly acknowledgedCount: number
  readonly killsWhileReady: number
  readonly problems: ReadonlyArray<string>
  readonly presenceLostMillis: number
}

/** Kills a server again and again under clients that come back again and again. */
const lane = (kills: number) =>
  Effect.gen(function* () {
    const server = yield* BuiltServer.start({
      ...Stage.environment,
      HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: String(tickMillis)
    })
    const device = yield* Device.login(server.url, Client.make())
    const sessionIds = yield* Effect.forEach(["a", "b", "c"], (tag) => Device.openSession(device, tag))
    const load = yield* LoadGenerator.start({
      url: server.url,
      token: device.token,
      registrationsPerSecond: 20,
      messagesPerSecond: 20,
      probesPerSecond: 0,
      beatMillis: 100,
      sessionIds
    })
    const problems: Array<string> = []
    let killsWhileReady = 0
    let presenceLostMillis = 0
    let startedAt = Date.now()
    for (let kill = 1; kill <= kills; kill++) {
      yield* Effect.sleep(yield* Random.nextIntBetween(100, 2000))
      if ((yield* Stage.readiness(server)) === 200) killsWhileReady += 1
      yield* server.signal("SIGKILL")
      const killedAt = Date.now()
      yield* server.ended
      const entries = load.entries()
      const { integrity, lost, torn } = Auditor.audit(server, entries)
      if (integrity !== "ok") problems.push(`kill ${kill}: ${integrity}`)
      problems.push(...[...lost, ...torn].map((problem) => `kill ${kill}: ${problem}`))
      // No client connects before the file was read: a connection counts as a sign of life too.
      presenceLostMillis = Math.max(
        presenceLostMillis,
        Auditor.presenceLostMillis(server, entries, killedAt, startedAt)
      )
      startedAt = Date.now()
      // Half of them are killed on their way up, perhaps.
      yield* kill === kills || (yield* Random.nextBoolean) ? server.start : server.launch
    }
    yield* load.stop
    const entries = load.entries()
    const { acknowledgedCount, lost } = Auditor.audit(server, entries)
    problems.push(...lost)
    return { acknowledgedCount, killsWhileReady, problems, presenceLostMillis } satisfies Tally
  })

export const F15Kill: Scenario = {
  id: "F15",
  title: "kill -9 at random moments",
  injected:
    "SIGKILL at 50 random moments (long: 1000), 0.1 to 2 s after a launch or after it is ready, on two servers at once",
  promises: ["P1", "P2", "P11"],
  needs: [],
  isQuick: true,
  within: "4 minutes",
  withinLong: "2 hours",
  run: ({ isLong, seed }) =>
    Effect.gen(function* () {
      const kills = isLong ? 1000 : 50
      const lanes = yield* Effect.forEach(
        Array.from({ length: laneCount }, (_, index) => index),
        (index) => Effect.withRandom(lane(kills / laneCount), Random.make(seed + index)),
        { concurrency: "unbounded" }
      )
      const sum = (count: (tally: Tally) => number) => lanes.reduce((total, tally) => total + count(tally), 0)
      const observations: ReadonlyArray<Observation> = [
        Observe.figure(
          "kills, of which of a server that was ready",
          `${kills}, ${sum((tally) => tally.killsWhileReady)}`
        ),
        Observe.atLeast(
          "kills of a server that was ready",
          sum((tally) => tally.killsWhileReady),
          kills / 5
        ),
        Observe.atLeast(
          "acknowledged registrations and messages",
          sum((tally) => tally.acknowledgedCount),
          kills
        ),
        Observe.none(
          "lost, twice, or out of order",
          lanes.flatMap(({ problems }) => problems)
        ),
        Observe.atMost(
          "presence lost at most",
          Math.max(...lanes.map((tally) => tally.presenceLostMillis)),
          tickMillis + 2 * Box.marginMillis(),
          "ms"
        )
      ]
      return observations
    })
}
