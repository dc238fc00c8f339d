/** F25: SIGTERM at any moment, during a lock, and twice. */
import { Effect, Fiber, Random } from "effect"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Device from "../../drivers/Device.ts"
import * as Eventually from "../../drivers/Eventually.ts"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Auditor from "../support/Auditor.ts"
import * as Box from "../support/Box.ts"
import * as Stage from "../support/Stage.ts"

const limitMillis = 10_000

/** Stops and starts a server under load. */
const restarts = (count: number) =>
  Effect.gen(function* () {
    const stage = yield* Stage.open()
    const { server } = stage
    const load = yield* stage.load({ probesPerSecond: 0 })
    const codes = new Set<number | null>()
    let slowest = 0
    let lostMillis = 0
    let startedAt = 0
    for (let restart = 1; restart <= count; restart++) {
      yield* Effect.sleep(yield* Random.nextIntBetween(300, 2500))
      const signalledAt = Date.now()
      const { code, millis } = yield* server.end("SIGTERM")
      codes.add(code)
      slowest = Math.max(slowest, millis)
      // What was on its way when the signal came need not have arrived.
      const lost = Auditor.presenceLostMillis(server, load.entries(), signalledAt - 500, startedAt)
      lostMillis = Math.max(lostMillis, lost)
      // Messages sent while the previous server ended were not acknowledged.
      startedAt = Date.now()
      yield* server.start
    }
    yield* load.stop
    const { acknowledgedCount, lost, torn } = Auditor.audit(server, load.entries())
    return [
      Observe.equal("exit codes", [...codes].join(", "), "0"),
      Observe.atMost("slowest end", slowest, Box.stretched(limitMillis), "ms"),
      Observe.atMost("presence lost", lostMillis, 0, "ms"),
      Observe.atLeast("acknowledged registrations and messages", acknowledgedCount, 1),
      Observe.none("of these lost, twice, or out of order", [...lost, ...torn])
    ]
  }).pipe(Effect.scoped)

/** Only the last flush can have written what was sent after the start. */
const locked = (signals: 1 | 2) =>
  Effect.gen(function* () {
    const stage = yield* Stage.open({
      sessionCount: 2,
      environment: { HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "60000", HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: "4000" }
    })
    const { device, server, sessionIds } = stage
    const sessionId = sessionIds[0] ?? ""
    const line = yield* device.connect({ clientType: "session-scoped", sessionId })
    const pulse = Device.pulse(line, "session", sessionId)
    pulse.beat()
    yield* line.settled
    const ending = yield* Effect.scoped(
      Effect.gen(function* () {
        yield* ForeignLock.hold(server.databaseFile)
        const ending = yield* Effect.fork(server.end("SIGTERM"))
        // The port is closed first, so from here on the last flush meets the lock.
        yield* Eventually.until(Effect.isFailure(Device.request(`${server.url}/livez`)), (isClosed) => isClosed)
        return signals === 1 ? Fiber.join(ending) : Effect.succeed(yield* server.end("SIGTERM"))
      })
    )
    const end = yield* ending
    const stored = Number(server.rows("SELECT lastActiveAt FROM Session WHERE id = ?", sessionId)[0]?.["lastActiveAt"])
    return { ...end, isWritten: stored >= (pulse.said[0] ?? Infinity) }
  }).pipe(Effect.scoped)

export const F25Signals: Scenario = {
  id: "F25",
  title: "SIGTERM under load, during a lock, and twice",
  injected: "SIGTERM at 5 random moments (long: 50); once while another process holds the lock; once more after that",
  promises: ["P1", "P3", "P5"],
  needs: [],
  isQuick: false,
  within: "3 minutes",
  withinLong: "10 minutes",
  run: ({ isLong, seed }) =>
    Effect.gen(function* () {
      const observations = yield* restarts(isLong ? 50 : 5)
      const once = yield* locked(1)
      const twice = yield* locked(2)
      return [
        ...observations,
        Observe.equal("exit code after a lock that ended in time", once.code ?? -1, 0),
        Observe.yes("the last sign of life is written", once.isWritten),
        Observe.equal("exit code after a second signal", twice.code ?? -1, 1),
        Observe.atMost("end after a second signal", twice.millis, Box.stretched(2000), "ms")
      ]
    }).pipe(Effect.withRandom(Random.make(seed)))
}
