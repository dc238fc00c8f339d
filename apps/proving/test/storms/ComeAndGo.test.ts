/**
 * Goal: a row whose client disconnects is offline after the grace; a row whose
 * client comes back is never shown offline, not by a restart either. Method:
 * nothing is proven by waiting a while and seeing nothing. Beside each row that
 * must stay online, another one disconnects at the same moment: when that one
 * is offline, the first had its time too.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

const environment = {
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200",
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "200",
  HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "1000",
  HAPPIER_PRESENCE_START_GRACE_MS: "2500",
  HAPPIER_PRESENCE_OFFLINE_TIMEOUT_MS: "5000",
  HAPPIER_PRESENCE_SWEEP_INTERVAL_MS: "1000"
}

const isActive = (server: BuiltServer.Server, id: string) =>
  server.rows("SELECT active FROM Machine WHERE id = ?", id)[0]?.["active"] === 1

const isOffline =
  (id: string) =>
  ({ event, payload }: Device.Heard): boolean =>
    event === "ephemeral" && payload.type === "machine-activity" && payload.id === id && payload.active === false

/** A machine with one more socket each time it is asked for one. */
const makeMachine = (device: Device.Device) =>
  Effect.gen(function* () {
    const { body } = yield* AckLog.make().register(device)
    const id = String(body["machine"].id)
    /** A socket that sends nothing, and how to close it. */
    const arriveSilently = Effect.gen(function* () {
      const scope = yield* Effect.acquireRelease(Scope.make(), (scope) => Scope.close(scope, Exit.void))
      const line = yield* Scope.extend(device.connect({ clientType: "machine-scoped", machineId: id }), scope)
      yield* line.settled
      return { line, scope, leave: Scope.close(scope, Exit.void) }
    })
    /** One that beats. */
    const arrive = Effect.tap(arriveSilently, ({ line, scope }) =>
      Scope.extend(Device.beating(Device.pulse(line, "machine", id), 300), scope)
    )
    return { id, arrive, arriveSilently }
  })

describe("coming and going", () => {
  it.scopedLive(
    "lets the last socket of a machine decide, after a grace, and shows no row offline that comes back in time",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start(environment)
        const device = yield* Device.login(server.url, Client.make())
        const app = yield* device.connect({ clientType: "user-scoped" })
        const [twice, back, gone, later] = yield* Effect.all([
          makeMachine(device),
          makeMachine(device),
          makeMachine(device),
          makeMachine(device)
        ])
        // No heartbeat may save it: what counts is that a socket is open.
        const firstOfTwo = yield* twice.arriveSilently
        const lastOfTwo = yield* twice.arriveSilently
        const before = yield* back.arrive
        const forGood = yield* gone.arrive
        const untilRestart = yield* later.arrive
        for (const { id } of [twice, back, gone, later]) {
          yield* Eventually.until(
            Effect.sync(() => isActive(server, id)),
            (active) => active
          )
        }

        // One of two sockets, one that comes back, and one that does not.
        yield* firstOfTwo.leave
        yield* before.leave
        yield* forGood.leave
        const leftAt = Date.now()
        yield* back.arrive
        yield* app.until(isOffline(gone.id))
        const graceMillis = Date.now() - leftAt
        yield* app.settled
        assert.isFalse(isActive(server, gone.id))
        assert.isAtLeast(graceMillis, 900)
        for (const { id } of [twice, back]) {
          assert.isTrue(isActive(server, id))
          assert.isFalse(app.heard.some(isOffline(id)))
        }

        // The last socket.
        yield* lastOfTwo.leave
        yield* app.until(isOffline(twice.id))
        assert.isFalse(isActive(server, twice.id))
        const { body } = yield* device.get(`/v1/machines/${twice.id}`)
        assert.strictEqual(body["machine"].active, false)
        assert.isTrue(isActive(server, back.id))
        assert.isFalse(app.heard.some(isOffline(back.id)))

        // `back` stays over the restart, `later` leaves with it.
        yield* untilRestart.leave
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0, server.output())
        const from = app.heard.length
        assert.isTrue(isActive(server, later.id))
        yield* server.start
        yield* app.until(({ event }) => event === "connect", from)
        yield* app.until(isOffline(later.id), from)
        assert.isFalse(isActive(server, later.id))
        assert.isFalse(app.heard.some(isOffline(back.id)))
        assert.isTrue(isActive(server, back.id))
        yield* Effect.log(`the machine that left was offline after ${graceMillis} ms, with a grace of 1000 ms`)
      }),
    60_000
  )
})
