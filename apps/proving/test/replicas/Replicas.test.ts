/**
 * Goal: three servers over one PostgreSQL are one server to every client, also while one of them is killed, restarted
 * or stands still.
 * Method: the bundle three times, a real PostgreSQL and Redis, and a balancer in front.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { inject } from "vitest"
import * as Client from "../../src/drivers/AccountClient.ts"
import type * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as LocalRedis from "../../src/drivers/LocalRedis.ts"
import * as Replicas from "../../src/drivers/Replicas.ts"
import { heardOffline, isActivity, isUpdate, login, openBeating, openSession, soon, tags } from "./Fleet.ts"

const postgresUrl = inject("postgresUrl")
const redisUrl = await LocalRedis.find()

const stand = (environment: Readonly<Record<string, string>> = {}) =>
  Replicas.start({ count: 3, postgresUrl: postgresUrl ?? "", redisUrl: redisUrl ?? "", environment })

/** The same account through one server. Tokens of one server are good at the others. */
const at = (server: BuiltServer.Server, account: ReturnType<typeof Client.make>) => login(server.url, account)

/** Its id. */
const beatingSession = (device: Device.Device, tag: string) => Effect.map(openBeating(device, tag), ({ sid }) => sid)

describe.skipIf(postgresUrl === undefined || redisUrl === undefined)("three servers", () => {
  it.scopedLive(
    "are one to their clients: updates, presence, calls, and the list of who is online",
    () =>
      Effect.gen(function* () {
        const { servers } = yield* stand()
        const [first, second, third] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
        const account = Client.make()
        const daemon = yield* at(first, account)
        const app = yield* at(second, account)
        const watcher = yield* app.connect({ clientType: "user-scoped" })

        const registered = yield* Effect.orDie(daemon.post("/v1/machines", { id: "m1", metadata: "sealed" }))
        assert.strictEqual(registered.status, 200, registered.text)
        yield* soon("new-machine at another server", watcher.until(isUpdate("new-machine")))

        const sid = yield* openSession(daemon, "tag")
        const agent = yield* daemon.connect({ clientType: "session-scoped", sessionId: sid })
        yield* Device.beating(Device.pulse(agent, "session", sid), 500)
        yield* soon("activity at another server", watcher.until(isActivity(sid, true)))

        agent.socket.emit("rpc-register", { method: `${sid}:echo` })
        yield* soon(
          "registration of a method",
          agent.until(({ event }) => event === "rpc-registered")
        )
        agent.socket.on("rpc-request", (asked: { readonly params: string }, answer: (result: string) => void) =>
          answer(`heard ${asked.params}`)
        )
        const called = yield* soon(
          "a call of another server",
          watcher.ask("rpc-call", { method: `${sid}:echo`, params: "this" })
        )
        assert.deepInclude(called, { ok: true, result: "heard this" })

        const other = yield* at(third, account)
        yield* Eventually.until(
          Effect.orDie(other.get("/v2/sessions/active")),
          ({ body }) => body["sessions"]?.some?.(({ id }: { readonly id: string }) => id === sid) === true
        )
        const message = yield* soon("an ack", agent.ask("message", { sid, message: "sealed", localId: "l1" }))
        assert.strictEqual(message.ok, true, JSON.stringify(message))
        yield* soon("new-message at another server", watcher.until(isUpdate("new-message")))
      }),
    180_000
  )

  it.scopedLive(
    "lose nothing when one is killed: clients that come back stay online, and the others are offline within 45 s",
    () =>
      Effect.gen(function* () {
        const { balancer, database, servers } = yield* stand()
        const [victim, second, third] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
        const account = Client.make()
        const app = yield* at(third, account)
        const watcher = yield* app.connect({ clientType: "user-scoped" })
        // Through the balancer they come back at another server. One is connected to the victim only, and dies with it.
        const through = yield* login(balancer.url, account)
        const ids = yield* Effect.forEach(tags(9), (tag) => beatingSession(through, tag))
        const doomed = yield* at(victim, account)
        const { line: deadLine, sid: dead } = yield* openBeating(doomed, "dead")
        for (const id of [...ids, dead]) yield* watcher.until(isActivity(id, true))
        // Its row is stored as one of the victim's.
        const isStored = (rows: ReadonlyArray<Record<string, unknown>>) => rows[0]?.["served"] === 1
        yield* Eventually.until(
          database.query(
            `SELECT ("servedBy" IS NOT NULL AND "active")::int AS "served" FROM "Session" WHERE "id" = ?`,
            dead
          ),
          isStored,
          "20 seconds"
        )

        const acknowledged: Array<string> = []
        const register = Effect.gen(function* () {
          const id = `m${acknowledged.length}-${Math.random().toString(36).slice(2)}`
          const answer = yield* Effect.either(
            through.post("/v1/machines", { id, metadata: "sealed" }).pipe(Effect.timeout("10 seconds"))
          )
          if (answer._tag === "Right" && answer.right.status === 200) acknowledged.push(id)
          yield* Effect.sleep("50 millis")
        })
        const load = yield* Effect.forkScoped(Effect.forever(register))
        yield* Effect.sleep("1 second")
        const killedAt = performance.now()
        yield* victim.end("SIGKILL")
        deadLine.socket.disconnect()
        yield* watcher
          .until(isActivity(dead, false))
          .pipe(
            Effect.timeoutFail({ duration: "60 seconds", onTimeout: () => new Error("the dead session stays online") })
          )
        const shownAfter = performance.now() - killedAt
        yield* Fiber.interrupt(load)
        assert.deepStrictEqual(heardOffline(watcher, ids), [], second.output() + third.output())
        assert.isBelow(shownAfter, 45_000)
        assert.isAbove(acknowledged.length, 20)
        const rows = yield* database.query(`SELECT "id" FROM "Machine"`)
        const stored = new Set(rows.map(({ id }) => id))
        assert.deepStrictEqual(
          acknowledged.filter((id) => !stored.has(id)),
          []
        )
      }),
    240_000
  )

  it.scopedLive(
    "show nobody offline while they are restarted one after the other",
    () =>
      Effect.gen(function* () {
        const { balancer, servers } = yield* stand()
        const account = Client.make()
        const through = yield* login(balancer.url, account)
        const watcher = yield* through.connect({ clientType: "user-scoped" })
        const ids = yield* Effect.forEach(tags(6), (tag) => beatingSession(through, tag))
        for (const id of ids) yield* watcher.until(isActivity(id, true))
        for (const server of servers) {
          balancer.drain(server)
          const { code } = yield* server.end("SIGTERM")
          assert.strictEqual(code, 0, server.output())
          yield* server.start
          balancer.admit(server)
        }
        // Longer than the grace of a disconnect.
        yield* Effect.sleep(Duration.seconds(20))
        assert.deepStrictEqual(heardOffline(watcher, ids), [])
        const active = yield* Effect.orDie(through.get("/v2/sessions/active"))
        assert.strictEqual(active.body["sessions"].length, ids.length, active.text)
      }),
    240_000
  )

  it.scopedLive(
    "take the rows of one that stands still, and it takes none of theirs when it goes on",
    () =>
      Effect.gen(function* () {
        const { balancer, servers } = yield* stand()
        const [frozen, , third] = servers as [BuiltServer.Server, BuiltServer.Server, BuiltServer.Server]
        const account = Client.make()
        const app = yield* at(third, account)
        const watcher = yield* app.connect({ clientType: "user-scoped" })
        const through = yield* login(balancer.url, account)
        const ids = yield* Effect.forEach(tags(6), (tag) => beatingSession(through, tag))
        for (const id of ids) yield* watcher.until(isActivity(id, true))
        balancer.drain(frozen)
        yield* frozen.signal("SIGSTOP")
        yield* Effect.sleep("60 seconds")
        const online = ids.filter((id) => {
          const last = watcher.heard.findLast(({ payload }) => payload?.id === id)
          return last?.payload.active === true
        })
        const from = watcher.heard.length
        yield* frozen.signal("SIGCONT")
        yield* Effect.sleep("30 seconds")
        // Most came back at other servers while it stood still. It shows none of them offline.
        assert.isAbove(online.length, 2)
        assert.deepStrictEqual(
          watcher.heard.slice(from).filter((heard) => online.some((id) => isActivity(id, false)(heard))),
          []
        )
        // Whose clients had noticed nothing are online in the end.
        const active = yield* Eventually.until(
          Effect.orDie(app.get("/v2/sessions/active")),
          ({ body }) => body["sessions"]?.length === ids.length,
          "30 seconds"
        )
        assert.strictEqual(active.answer.status, 200)
      }),
    300_000
  )
})
