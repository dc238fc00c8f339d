/**
 * Goal: a server that starts while everybody comes back at once lets all of
 * them in soon, a few at a time, and goes on storing what somebody waits for.
 * Method: the whole server in this process, stopped and started on one port
 * under 300 real sockets, and machines that register all the while.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { randomUUID } from "node:crypto"
import path from "node:path"
import * as LightServer from "../../src/LightServer.ts"
import * as ServerConfig from "../../src/ServerConfig.ts"
import * as Client from "../accounts/Client.ts"
import { freePort } from "../support/BuiltServer.ts"
import * as Device from "../support/Device.ts"
import { valueOf } from "../support/Gauges.ts"
import * as TemporaryDirectory from "../TemporaryDirectory.ts"

const socketCount = 300
const handshakeLimit = 64
const backWithinMillis = 10_000
const controlDeadlineMillis = 2000

/** A server that can be started more than once. */
const makeServer = Effect.gen(function* () {
  const directory = path.join(yield* TemporaryDirectory.make, "data")
  const port = yield* freePort
  const { config } = yield* ServerConfig.load({
    HOME: directory,
    HAPPIER_SERVER_LIGHT_DATA_DIR: directory,
    PORT: String(port),
    HAPPIER_SOCKET_HANDSHAKE_LIMIT: String(handshakeLimit)
  })
  const start = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    yield* Layer.buildWithScope(LightServer.layer(config), scope)
    return { stop: Scope.close(scope, Exit.void) }
  })
  return { url: `http://127.0.0.1:${port}`, start }
})

const ids = (count: number) => Array.from({ length: count }, (_, index) => index)

describe("reconnect storm", () => {
  it.scopedLive(
    "brings 300 sockets back within 10 s, and answers control writes within their deadline",
    () =>
      Effect.gen(function* () {
        const server = yield* makeServer
        const { stop } = yield* server.start
        const device = yield* Device.login(server.url, Client.make())
        const register = Effect.suspend(() =>
          Effect.orDie(device.post("/v1/machines", { id: randomUUID(), metadata: "m" }))
        )
        const machines = yield* Effect.forEach(ids(10), () =>
          Effect.map(register, ({ body }) => String(body["machine"].id))
        )
        const sessions = yield* Effect.forEach(ids(10), (index) => Device.openSession(device, `tag-${index}`))
        const scopeOf = (index: number): Device.Handshake => {
          if (index % 3 === 0) return { clientType: "user-scoped" }
          return index % 3 === 1
            ? { clientType: "machine-scoped", machineId: machines[index % machines.length] }
            : { clientType: "session-scoped", sessionId: sessions[index % sessions.length] }
        }
        const lines = yield* Effect.forEach(ids(socketCount), (index) => device.connect(scopeOf(index)), {
          concurrency: 16
        })

        const heardBefore = lines.map(({ heard }) => heard.length)
        yield* stop
        const disconnected = ({ event }: Device.Heard) => event === "disconnect"
        yield* Effect.forEach(lines, (line) => line.until(disconnected), { discard: true })

        const everybodyIsBack = yield* Deferred.make<void>()
        yield* server.start
        const began = performance.now()
        const latencies: Array<number> = []
        const registering = yield* register.pipe(
          Effect.tap(({ millis, status }) =>
            Effect.sync(() => {
              assert.strictEqual(status, 200)
              latencies.push(millis)
            })
          ),
          Effect.zipRight(Deferred.isDone(everybodyIsBack)),
          Effect.repeat({ until: (isDone) => isDone }),
          Effect.fork
        )
        let handshakesMax = 0
        yield* Effect.forEach(
          lines,
          (line, index) =>
            line
              .until(({ event }) => event === "connect", heardBefore[index])
              .pipe(
                Effect.zipRight(valueOf("websocket_handshakes")),
                Effect.map((count) => {
                  handshakesMax = Math.max(handshakesMax, count)
                })
              ),
          { concurrency: "unbounded", discard: true }
        )
        const millis = performance.now() - began
        yield* Deferred.succeed(everybodyIsBack, undefined)
        yield* Fiber.join(registering)

        console.log({
          millis,
          handshakesMax,
          n: latencies.length,
          worst: Math.max(...latencies),
          refused: yield* valueOf("websocket_refusals_total")
        })
        assert.isBelow(millis, backWithinMillis)
        assert.isAtMost(handshakesMax, handshakeLimit)
        assert.isNotEmpty(latencies)
        assert.isBelow(Math.max(...latencies), controlDeadlineMillis)
        yield* Effect.forEach(lines, (line) => line.settled, { concurrency: "unbounded", discard: true })
        assert.strictEqual(yield* valueOf("websocket_connections"), socketCount)
      }),
    60_000
  )
})
