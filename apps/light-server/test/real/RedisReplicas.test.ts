/**
 * Replicas joined by a real Redis on the loopback interface, through a proxy that breaks. Skipped where none answers;
 * `REQUIRE_SERVICES=1` makes that a failure.
 */
import { createClient } from "@redis/client"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, Redacted, type Scope } from "effect"
import { randomInt } from "node:crypto"
import * as RedisLink from "../../src/replicas/RedisLink.ts"
import { RedisUnusable } from "../../src/replicas/RedisUnusable.ts"
import { refusals } from "../../src/rpc/RpcAnswer.ts"
import { database, start } from "../support/ReplicaServers.ts"
import * as TcpProxy from "../support/TcpProxy.ts"
import { agent, app, type Client, daemon } from "../support/TestServer.ts"
import { until } from "../replicas/TwoReplicas.ts"

const redis = { host: "127.0.0.1", port: 6379 }

/** Channels and the stream are named after it. */
const databaseNumber = randomInt(1, 16)

const urlOf = (port: number, login = "") => Redacted.make(`redis://${login}127.0.0.1:${port}/${databaseNumber}`)

const answers = async () => {
  const client = createClient({ url: Redacted.value(urlOf(redis.port)), socket: { reconnectStrategy: false } })
  client.on("error", () => {})
  try {
    await client.connect()
    await client.del(`light-server:${databaseNumber}:broadcasts`)
    return true
  } catch {
    return false
  } finally {
    client.destroy()
  }
}

const isThere = await answers()
if (!isThere) {
  if (process.env["REQUIRE_SERVICES"] !== undefined) throw new Error("no Redis answers at 127.0.0.1:6379")
  process.stderr.write("skipped: no Redis answers at 127.0.0.1:6379\n")
}

/** Two replicas, the second one or both behind a proxy. */
const join = (
  isFirstBehind: boolean
): Effect.Effect<
  {
    readonly proxy: TcpProxy.TcpProxy
    readonly a: Effect.Effect.Success<ReturnType<typeof start>>
    readonly b: Effect.Effect.Success<ReturnType<typeof start>>
  },
  RedisUnusable,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const proxy = yield* TcpProxy.make(redis)
    const shared = yield* database
    const a = yield* start(shared, yield* RedisLink.make(urlOf(isFirstBehind ? proxy.port : redis.port)))
    const b = yield* start(shared, yield* RedisLink.make(urlOf(proxy.port)))
    yield* until(() => a.bus.others().length === 1 && b.bus.others().length === 1)
    return { proxy, a, b }
  })

const two = join(false)

const serve = (client: Client, method: string, answer: (request: any, ack: (result?: unknown) => void) => void) =>
  Effect.gen(function* () {
    client.socket.on("rpc-request", answer)
    client.emit("rpc-register", { method })
    yield* client.next("rpc-registered")
    yield* Effect.sleep("100 millis")
  })

const call = (client: Client, method: string, params?: unknown) => client.ask("rpc-call", { method, params })

const say = (client: Client, localId: string) => client.ask("message", { sid: "s1", message: "sealed", localId })

const localIdOf = (update: unknown) => (update as { body: { message: { localId: string } } }).body.message.localId

const millisOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const began = performance.now()
    const value = yield* effect
    return { value, millis: performance.now() - began }
  })

describe.skipIf(!isThere)("replicas joined by Redis", { timeout: 60_000 }, () => {
  it.scopedLive("send updates, transitions, digests and calls to each other", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      assert.include(yield* there.next("ephemeral"), { type: "activity", id: "s1", active: true })
      for (let n = 0; n < 50; n++) yield* say(working, `l${n}`)
      for (let n = 0; n < 50; n++) assert.strictEqual(localIdOf(yield* there.next("update")), `l${n}`)
      working.emit("session-alive", { sid: "s1", time: Date.now(), thinking: false })
      assert.include(yield* there.next("ephemeral"), { type: "activity", id: "s1", active: true })
      yield* serve(working, "s1:abort", ({ params }, ack) => ack({ params }))
      assert.deepStrictEqual(yield* call(there, "s1:abort", { x: "ü" }), { ok: true, result: { params: { x: "ü" } } })
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:big", ({ params }, ack) => ack(params))
      const caller = yield* a.server.connect(app("a1"))
      const big = "x".repeat(900_000)
      assert.deepStrictEqual(yield* call(caller, "m1:big", big), { ok: true, result: big })
    })
  )

  it.scopedLive("serve their own clients while Redis is frozen, and catch up", () =>
    Effect.gen(function* () {
      const { a, b, proxy } = yield* two
      const here = yield* b.server.connect(app("a1"))
      const there = yield* a.server.connect(app("a1"))
      const working = yield* b.server.connect(agent("a1", "s1"))
      const other = yield* a.server.connect(agent("a1", "s1"))
      proxy.freeze()
      for (let n = 0; n < 20; n++) {
        const { millis, value } = yield* millisOf(say(working, `frozen${n}`))
        assert.include(value, { ok: true })
        assert.isBelow(millis, 1000)
        assert.strictEqual(localIdOf(yield* here.next("update")), `frozen${n}`)
      }
      yield* say(other, "elsewhere")
      yield* until(() => b.bus.problem() !== undefined)
      assert.match(b.bus.problem() ?? "", new RegExp(`^Redis at 127.0.0.1:${proxy.port}: `))
      assert.deepStrictEqual(b.bus.others(), [])
      assert.isUndefined(a.bus.problem())
      yield* say(working, "lost")
      proxy.mend()
      yield* until(() => b.bus.problem() === undefined && b.bus.others().length === 1)
      // What B sent, in order, after what A sent itself.
      assert.strictEqual(localIdOf(yield* there.next("update")), "elsewhere")
      for (let n = 0; n < 20; n++) assert.strictEqual(localIdOf(yield* there.next("update")), `frozen${n}`)
      assert.strictEqual(localIdOf(yield* there.next("update")), "lost")
      // What A sent meanwhile.
      assert.strictEqual(localIdOf(yield* here.next("update")), "lost")
      assert.strictEqual(localIdOf(yield* here.next("update")), "elsewhere")
      assert.isTrue(here.socket.connected)
    })
  )

  it.scopedLive("come back by themselves after every connection was cut, and no update is missed", () =>
    Effect.gen(function* () {
      const { a, b, proxy } = yield* two
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      for (let round = 0; round < 3; round++) {
        proxy.cut()
        yield* until(() => b.bus.problem() !== undefined)
        yield* say(working, `cut${round}`)
        yield* Effect.sleep("600 millis")
        proxy.mend()
        yield* until(() => b.bus.problem() === undefined)
        yield* say(working, `mended${round}`)
        assert.strictEqual(localIdOf(yield* there.next("update")), `cut${round}`)
        assert.strictEqual(localIdOf(yield* there.next("update")), `mended${round}`)
      }
      assert.isTrue(there.socket.connected)
      assert.isAtMost(proxy.connectionCount(), 3)
    })
  )

  it.scopedLive("hear each other over a Redis that came back empty and with a clock that is behind", () =>
    Effect.gen(function* () {
      const client = yield* Effect.acquireRelease(
        Effect.promise(() => createClient({ url: Redacted.value(urlOf(redis.port)) }).connect()),
        (client) => Effect.sync(() => client.destroy())
      )
      const stream = `light-server:${databaseNumber}:broadcasts`
      // Every later entry gets an id after this one.
      yield* Effect.promise(() => client.xAdd(stream, `${Date.now() + 3_600_000}-0`, { nothing: "" }))
      yield* Effect.addFinalizer(() => Effect.promise(() => client.del(stream)))
      const { a, b, proxy } = yield* join(true)
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      yield* say(working, "before")
      assert.strictEqual(localIdOf(yield* there.next("update")), "before")
      proxy.cut()
      yield* until(() => a.bus.problem() !== undefined && b.bus.problem() !== undefined)
      yield* Effect.promise(() => client.del(stream))
      yield* say(working, "after")
      proxy.mend()
      assert.strictEqual(localIdOf(yield* there.next("update")), "after")
      yield* say(working, "later")
      assert.strictEqual(localIdOf(yield* there.next("update")), "later")
      assert.isTrue(there.socket.connected)
    })
  )

  it.scopedLive("end a call within a second when Redis does not answer any more", () =>
    Effect.gen(function* () {
      const { a, b, proxy } = yield* two
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", () => {})
      const caller = yield* a.server.connect(app("a1"))
      const waiting = yield* Effect.fork(call(caller, "m1:x"))
      yield* Effect.promise(() => new Promise((resolve) => machine.socket.once("rpc-request", resolve)))
      proxy.freeze()
      const { millis, value } = yield* millisOf(Fiber.join(waiting))
      assert.deepStrictEqual(value, refusals["registrant-gone"])
      assert.isBelow(millis, 2000)
    })
  )
})

describe("REDIS_URL", { timeout: 30_000 }, () => {
  const failureOf = (url: Redacted.Redacted) =>
    Effect.map(Effect.scoped(Effect.either(RedisLink.make(url))), (made) => {
      if (Either.isRight(made)) throw new Error("it was accepted")
      assert.instanceOf(made.left, RedisUnusable)
      return made.left
    })

  it.scopedLive("is refused at the start when nothing listens there, with host and port", () =>
    Effect.gen(function* () {
      const failure = yield* failureOf(Redacted.make("redis://:geheim@127.0.0.1:1/0"))
      assert.include(failure, { host: "127.0.0.1", port: 1, reason: "Unreachable" })
      assert.match(failure.message, /127\.0\.0\.1:1.*ECONNREFUSED/)
      assert.notInclude(failure.message, "geheim")
    })
  )

  it.scopedLive("is refused at the start when Redis does not answer", () =>
    Effect.gen(function* () {
      const proxy = yield* TcpProxy.make(redis)
      proxy.freeze()
      const failure = yield* failureOf(Redacted.make(`redis://:geheim@127.0.0.1:${proxy.port}`))
      assert.include(failure, { port: proxy.port, reason: "Unreachable" })
      assert.notInclude(failure.message, "geheim")
    })
  )

  it.scopedLive.skipIf(!isThere)("is refused at the start when the password is wrong, without showing it", () =>
    Effect.gen(function* () {
      const failure = yield* failureOf(urlOf(redis.port, "nobody:geheim%21@"))
      assert.include(failure, { host: "127.0.0.1", port: 6379, reason: "Refused" })
      assert.include(failure.message, "WRONGPASS")
      assert.notInclude(JSON.stringify(failure), "geheim")
    })
  )
})
