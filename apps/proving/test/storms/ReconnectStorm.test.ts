/**
 * Goal: a server that starts while all clients reconnect at once admits all of
 * them soon, a few at a time, and goes on storing writes that clients wait for.
 * Method: the built server, ended and started again under 300 real sockets of
 * two accounts, while machines register and its metrics are read all the time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import { scrape } from "../../src/drivers/Scrape.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

/** An account has up to 200 sockets. */
const accountCount = 2
const socketCount = 300
const handshakeLimit = 64
const perSecond = 100

/** As many handshakes wait as are accepted per second. */
const queueLimit = perSecond
const backWithinMillis = 10_000
const controlDeadlineMillis = 2000

/** What a busy box, and 300 clients in the process that measures, may add. */
const marginMillis = 1500

const ids = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Repeats `effect` until `isOver`, and once more. */
const until = <A, E>(effect: Effect.Effect<A, E>, isOver: Deferred.Deferred<void>) =>
  effect.pipe(Effect.zipRight(Deferred.isDone(isOver)), Effect.repeat({ until: (isDone) => isDone }), Effect.fork)

/** As many sockets as there are to be, of all three kinds. */
const connectAll = (device: Device.Device, log: AckLog.AckLog, socketCount: number) =>
  Effect.gen(function* () {
    const machines = yield* Effect.forEach(ids(10), () =>
      Effect.map(log.register(device), ({ body }) => String(body["machine"].id))
    )
    const sessions = yield* Effect.forEach(ids(10), (index) => Device.openSession(device, `tag-${index}`))
    const handshakeOf = (index: number): Device.Handshake => {
      if (index % 3 === 0) return { clientType: "user-scoped" }
      return index % 3 === 1
        ? { clientType: "machine-scoped", machineId: machines[index % machines.length] }
        : { clientType: "session-scoped", sessionId: sessions[index % sessions.length] }
    }
    return yield* Effect.forEach(ids(socketCount), (index) => device.connect(handshakeOf(index)), { concurrency: 16 })
  })

describe("reconnect storm", () => {
  it.scopedLive(
    "brings 300 sockets back within 10 s, and answers control writes within their deadline",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({
          HAPPIER_SOCKET_HANDSHAKES_PER_SECOND: String(perSecond)
        })
        const devices = yield* Effect.forEach(ids(accountCount), () => Device.login(server.url, Client.make()))
        const [device = yield* Effect.dieMessage("no device")] = devices
        const connecting = devices.map((each) => connectAll(each, AckLog.make(), socketCount / accountCount))
        const lines = (yield* Effect.all(connecting)).flat()

        const marks = lines.map(({ heard }) => heard.length)
        yield* server.end("SIGTERM")
        yield* Effect.forEach(lines, (line) => line.until(({ event }) => event === "disconnect"), { discard: true })
        yield* server.start

        const isOver = yield* Deferred.make<void>()
        const log = AckLog.make()
        const registering = yield* until(log.register(device), isOver)
        const handshakes: Array<number> = []
        const waiting: Array<number> = []
        const watching = yield* until(
          Effect.map(scrape(server.url), ({ value }) => {
            handshakes.push(value("websocket_handshakes"))
            waiting.push(value("websocket_handshakes_waiting"))
          }),
          isOver
        )
        const began = performance.now()
        yield* Effect.forEach(lines, (line, index) => line.until(({ event }) => event === "connect", marks[index]), {
          concurrency: "unbounded",
          discard: true
        })
        const backMillis = performance.now() - began
        yield* Deferred.succeed(isOver, undefined)
        yield* Fiber.join(registering)
        yield* Fiber.join(watching)

        TimeLimit.holds("until all are back, in ms", backMillis, backWithinMillis)
        assert.isAtMost(Math.max(...handshakes), handshakeLimit)
        assert.isAtMost(Math.max(...waiting), queueLimit)
        assert.deepStrictEqual([...new Set(log.answers.map(({ status }) => status))], [200])
        const { worst } = AckLog.latencies(log.answers)
        TimeLimit.holds("the slowest control write, in ms", worst, controlDeadlineMillis + marginMillis)
        yield* Effect.forEach(lines, (line) => line.settled, { concurrency: "unbounded", discard: true })
        const { value } = yield* scrape(server.url)
        assert.strictEqual(value("websocket_connections"), socketCount)
        // As many at once as are verified or wait, then a hundred per second; all of them came back. On a busy box the
        // clients themselves may be slower than that, and then none is refused.
        const leastMillis = (1000 * (socketCount - handshakeLimit - queueLimit)) / perSecond
        const refusals = value("websocket_refusals_total", { reason: "overload" })
        assert.isTrue(refusals > 0 || backMillis > leastMillis, `${refusals} refusals in ${backMillis} ms`)
        assert.isAbove(backMillis, leastMillis / 2)
        assert.strictEqual(
          value("writer_writes_total", { lane: "control" }),
          value("writer_writes_total", { lane: "control", outcome: "committed" })
        )
      }),
    60_000
  )
})
