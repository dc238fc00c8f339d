/**
 * Goal: a signal ends the server in time and loses nothing, and its clients
 * come back to the next process by themselves.
 * Method: ticks so long that only the last flush can have written what the file
 * holds in the end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

const shutdownLimitMillis = 10_000

/** The last flush gets most of the time. */
const patient = { HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: "5500", HAPPIER_SHUTDOWN_TIMEOUT_MS: "11500" }

const environment = { HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "60000" }

/** Sessions of one account, each with sockets that have beaten once, read by the server. */
const crowd = (server: BuiltServer.Server, sessionCount: number, socketsEach: number) =>
  Effect.gen(function* () {
    const device = yield* Device.login(server.url, Client.make())
    const tags = Array.from({ length: sessionCount }, (_, index) => `tag-${index}`)
    const pulses = yield* Effect.forEach(
      tags,
      (tag) =>
        Effect.gen(function* () {
          const sessionId = yield* Device.openSession(device, tag)
          const lines = yield* Effect.replicateEffect(
            device.connect({ clientType: "session-scoped", sessionId }),
            socketsEach,
            { concurrency: "unbounded" }
          )
          return lines.map((line) => ({ line, pulse: Device.pulse(line, "session", sessionId) }))
        }),
      { concurrency: 4 }
    )
    const members = pulses.flat()
    for (const { pulse } of members) pulse.beat()
    yield* Effect.forEach(members, ({ line }) => line.settled, { concurrency: "unbounded" })
    return members
  })

type Member = Effect.Effect.Success<ReturnType<typeof crowd>>[number]

/** What was said last and is not in the file. */
const unwritten = (server: BuiltServer.Server, members: ReadonlyArray<Member>) => {
  const stored = new Map(server.rows("SELECT id, lastActiveAt FROM Session").map((row) => [row["id"], row]))
  return members.flatMap(({ pulse }) => {
    const late = (pulse.said.at(-1) ?? 0) - Number(stored.get(pulse.id)?.["lastActiveAt"])
    return late <= 0 ? [] : [{ id: pulse.id, late }]
  })
}

describe("a shutdown", () => {
  it.scopedLive(
    "writes the last beats with two hundred sockets open, which all come back to the next process",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        const members = yield* crowd(server, 20, 10)
        // Before the first tick, nothing of it can be in the file.
        assert.strictEqual(unwritten(server, members).length, 200)
        const { code, millis } = yield* server.end("SIGTERM")
        assert.strictEqual(code, 0, server.output())
        TimeLimit.holds("the shutdown, in ms", millis, shutdownLimitMillis)
        assert.deepStrictEqual(unwritten(server, members), [])

        const reasons = yield* Effect.forEach(members, ({ line }) =>
          Effect.map(
            line.until(({ event }) => event === "disconnect"),
            ({ payload }) => String(payload)
          )
        )
        // Clients stay away for good after `io server disconnect`.
        assert.deepStrictEqual(new Set(reasons), new Set(["transport close"]))
        yield* server.start
        const [duration] = yield* Effect.timed(
          Effect.forEach(members, ({ line }) =>
            Effect.zipRight(
              line.until(
                ({ event }) => event === "connect",
                line.heard.findIndex(({ event }) => event === "disconnect")
              ),
              line.settled
            )
          )
        )
        const back = Math.round(Duration.toMillis(duration))
        yield* Effect.log(`ended after ${millis} ms, all 200 sockets were back ${back} ms after the next start`)
      }),
    60_000
  )

  it.scopedLive(
    "writes the last beats when the lock of another process ends in time",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({ ...environment, ...patient })
        const members = yield* crowd(server, 5, 1)
        const ending = yield* Effect.scoped(
          Effect.gen(function* () {
            yield* ForeignLock.hold(server.databaseFile)
            const ending = yield* Effect.fork(server.end("SIGTERM"))
            // The port is closed first, so from here on the last flush meets the lock.
            yield* Eventually.until(Effect.isFailure(Device.request(`${server.url}/livez`)), (isClosed) => isClosed)
            return ending
          })
        )
        const { code, millis } = yield* Fiber.join(ending)
        assert.strictEqual(code, 0, server.output())
        TimeLimit.holds("the shutdown, in ms", millis, shutdownLimitMillis)
        assert.deepStrictEqual(unwritten(server, members), [])
      }),
    40_000
  )

  it.scopedLive(
    "ends at once when a second signal comes while the last flush waits for a lock",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({ ...environment, ...patient })
        yield* crowd(server, 2, 1)
        yield* ForeignLock.hold(server.databaseFile)
        yield* server.signal("SIGTERM")
        yield* Eventually.until(Effect.isFailure(Device.request(`${server.url}/livez`)), (isClosed) => isClosed)
        const second = yield* server.end("SIGTERM")
        assert.strictEqual(second.code, 1)
        TimeLimit.holds("the end after the second signal, in ms", second.millis, 2000)
        assert.include(server.output(), "ending at once")
      }),
    40_000
  )

  it.scopedLive(
    "ends in order before its limit when the lock of another process lasts, and reports what it could not write",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        yield* crowd(server, 5, 4)
        yield* ForeignLock.hold(server.databaseFile)
        const { code, millis } = yield* server.end("SIGTERM")
        // The limit of the process ends it with 1, and without a word about what is lost.
        assert.strictEqual(code, 0, server.output())
        TimeLimit.holds("the shutdown, in ms", millis, shutdownLimitMillis)
        assert.include(server.output(), "PRESENCE_LOST")
        assert.notInclude(server.output(), "SHUTDOWN_STEP_CUT")
        yield* Effect.log(`ended after ${millis} ms`)
      }),
    40_000
  )
})
