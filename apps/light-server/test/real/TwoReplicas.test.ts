import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { refusals } from "../../src/rpc/RpcAnswer.ts"
import { agent, app, authorized, type Client, daemon, tokenOf } from "../support/TestServer.ts"
import { arrived, two, until } from "../replicas/TwoReplicas.ts"

type Ack = (result?: unknown) => void

const serve = (client: Client, method: string, answer: (request: any, ack: Ack) => void) =>
  Effect.gen(function* () {
    client.socket.on("rpc-request", answer)
    client.emit("rpc-register", { method })
    yield* client.next("rpc-registered")
    yield* TestClock.adjust("10 millis")
    yield* arrived
  })

const call = (client: Client, method: string, params?: unknown) => client.ask("rpc-call", { method, params })

const beat = (thinking = false) => ({ sid: "s1", time: Date.now(), thinking })

describe("two replicas", () => {
  it.scoped("send updates to the apps of both, once, and not to the sender", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const [here, there] = [yield* a.server.connect(app("a1")), yield* b.server.connect(app("a1"))]
      const foreign = yield* b.server.connect(app("a2"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      const ack = yield* working.ask("message", { sid: "s1", message: "sealed", localId: "l1" })
      assert.include(ack, { ok: true, seq: 1 })
      const update = (yield* there.next("update")) as { body: { t: string } }
      assert.strictEqual(update.body.t, "new-message")
      assert.deepStrictEqual(yield* here.next("update"), update)
      yield* arrived
      assert.deepStrictEqual(yield* working.rest("update"), [])
      assert.deepStrictEqual(yield* there.rest("update"), [])
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
    })
  )

  it.scoped("announce a machine that goes online and offline to the apps of both", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const there = yield* b.server.connect(app("a1"))
      yield* a.server.connect(daemon("a1", "m1"))
      assert.include(yield* there.next("ephemeral"), { type: "machine-activity", id: "m1", active: true })
      const key = { kind: "machine", accountId: "a1", id: "m1" } as const
      a.probe.transition({ key, lastSeenMillis: 7, reason: "timeout" } as never)
      assert.include(yield* there.next("ephemeral"), { type: "machine-activity", id: "m1", active: false, activeAt: 7 })
    })
  )

  it.scoped("send signs of life together every five seconds, to a replica where the account is watched", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      yield* arrived
      yield* there.rest("ephemeral")
      for (let second = 0; second < 5; second++) {
        working.emit("session-alive", beat())
        yield* working.flush
        assert.deepStrictEqual(yield* there.rest("ephemeral"), [])
        yield* TestClock.adjust("1 second")
      }
      yield* arrived
      const shown = yield* there.rest("ephemeral")
      assert.strictEqual(shown.length, 1)
      assert.include(shown[0], { type: "activity", id: "s1", active: true })
      assert.strictEqual(hub.topics.filter((topic) => topic === "alive").length, 1)
    })
  )

  it.scoped("show at once that a session begins to think", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      yield* arrived
      yield* there.rest("ephemeral")
      working.emit("session-alive", beat(true))
      assert.include(yield* there.next("ephemeral"), { type: "activity", thinking: true })
    })
  )

  it.scoped("send nothing about an account that nobody watches elsewhere", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const foreign = yield* b.server.connect(app("a2"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      const gone = yield* b.server.connect(app("a1"))
      gone.socket.disconnect()
      yield* until(() => hub.topics.filter((topic) => topic === "watch").length >= 3)
      yield* arrived
      hub.topics.length = 0
      for (let second = 0; second < 20; second++) {
        working.emit("session-alive", beat())
        yield* working.flush
        yield* TestClock.adjust("1 second")
      }
      yield* arrived
      assert.deepStrictEqual(
        hub.topics.filter((topic) => topic !== "watch"),
        []
      )
      assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
    })
  )

  it.scoped("tell a replica that comes later who is watched", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      hub.cut("a")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([a.bus.others(), b.bus.others()], [[], []])
      hub.mend("a")
      yield* TestClock.adjust("1 second")
      yield* arrived
      assert.deepStrictEqual([a.bus.others(), b.bus.others()], [["b"], ["a"]])
      yield* there.rest("ephemeral")
      working.emit("session-alive", beat())
      yield* working.flush
      yield* TestClock.adjust("5 seconds")
      assert.include(yield* there.next("ephemeral"), { type: "activity", id: "s1" })
    })
  )

  it.scoped("forget a row that comes online on the other one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const first = yield* b.server.connect(daemon("a1", "m1"))
      first.socket.disconnect()
      yield* Effect.promise(() => b.probe.nextDisconnect)
      yield* a.server.connect(daemon("a1", "m1"))
      yield* arrived
      assert.include(b.probe.calls, "forget machine m1")
      assert.notInclude(a.probe.calls, "forget machine m1")
    })
  )

  it.scoped("end a session that is connected to the other one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      yield* b.server.connect(agent("a1", "s1"))
      const apps = yield* a.server.connect(app("a1"))
      apps.emit("session-end", { sid: "s1", time: Date.now() })
      yield* until(() => b.probe.calls.includes("end session s1"))
    })
  )

  it.scoped("close a daemon's connection when its machine is revoked on the other one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const client = yield* b.server.connect(daemon("a1", "m1"))
      const response = yield* a.server.inject({
        method: "POST",
        url: "/v1/machines/m1/revoke",
        headers: authorized("a1")
      })
      assert.strictEqual(response.statusCode, 200)
      assert.strictEqual(yield* client.next("disconnect"), "io server disconnect")
    })
  )

  it.scoped("let a machine connect to one at once after it was registered on the other one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      // The absence of the machine is remembered for half a minute.
      const early = yield* b.server.client(
        { token: tokenOf("a1"), clientType: "machine-scoped", machineId: "m9" },
        { reconnection: false }
      )
      early.socket.connect()
      yield* early.next("transport").pipe(Effect.fork)
      yield* arrived
      const registered = yield* a.server.inject({
        method: "POST",
        url: "/v1/machines",
        headers: authorized("a1"),
        payload: { id: "m9", metadata: "sealed" }
      })
      assert.strictEqual(registered.statusCode, 200)
      yield* arrived
      const client = yield* b.server.connect(daemon("a1", "m9"))
      assert.isTrue(client.socket.connected)
    })
  )

  it.scoped("close all connections gradually when broadcasts were lost", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const there = yield* b.server.connect(app("a1"))
      const working = yield* a.server.connect(agent("a1", "s1"))
      const say = (localId: string) => working.ask("message", { sid: "s1", message: "sealed", localId })
      yield* say("l1")
      yield* there.next("update")
      hub.loseBroadcasts("b", true)
      yield* say("l2")
      hub.loseBroadcasts("b", false)
      // Announcements make it known, though nothing follows.
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(yield* there.next("disconnect"), "transport close")
    })
  )
})

describe("calls between two replicas", () => {
  it.scoped("reach the registrant on the other one, both ways", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const [callerA, callerB] = [yield* a.server.connect(app("a1")), yield* b.server.connect(app("a1"))]
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      const session = yield* a.server.connect(agent("a1", "s1"))
      yield* serve(machine, "m1:bash", ({ params }, ack) => ack({ got: params }))
      yield* serve(session, "s1:abort", (_, ack) => ack(Buffer.from([1, 2, 3])))
      assert.deepStrictEqual(yield* call(callerA, "m1:bash", { x: [1, null, "ü"] }), {
        ok: true,
        result: { got: { x: [1, null, "ü"] } }
      })
      assert.deepStrictEqual(yield* call(callerB, "s1:abort"), { ok: true, result: Buffer.from([1, 2, 3]) })
      const foreign = yield* a.server.connect(app("a2"))
      assert.deepStrictEqual(yield* call(foreign, "m1:bash"), refusals.unavailable)
    })
  )

  it.scoped("find a method of which this replica was not told", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const caller = yield* a.server.connect(app("a1"))
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      hub.cut("a", false)
      yield* serve(machine, "m1:x", (_, ack) => ack("found"))
      hub.mend("a")
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "found" })
      assert.include(hub.topics, "ask")
    })
  )

  it.scoped("go to the newest registrant, whichever replica it is on", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const caller = yield* a.server.connect(app("a1"))
      const older = yield* a.server.connect(daemon("a1", "m1"))
      const newer = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(older, "m1:x", (_, ack) => ack("older"))
      yield* serve(newer, "m1:x", (_, ack) => ack("newer"))
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "newer" })
      newer.socket.disconnect()
      yield* Effect.promise(() => b.probe.nextDisconnect)
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "older" })
    })
  )

  it.scoped("wait for a machine that loses its connection to one replica and comes back to another", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const caller = yield* a.server.connect(app("a1"))
      const before = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(before, "m1:x", (_, ack) => ack("before"))
      before.socket.io.engine.close()
      yield* Effect.promise(() => b.probe.nextDisconnect)
      before.socket.disconnect()
      const waiting = yield* Effect.fork(call(caller, "m1:x"))
      yield* caller.flush
      yield* arrived
      assert.isNull(waiting.unsafePoll())
      const after = yield* a.server.connect(daemon("a1", "m1"))
      yield* serve(after, "m1:x", (_, ack) => ack("after"))
      assert.deepStrictEqual(yield* Fiber.join(waiting), { ok: true, result: "after" })
    })
  )

  it.scoped("fail within a second when the replica of the registrant is gone", () =>
    Effect.gen(function* () {
      const { a, b, hub } = yield* two()
      const caller = yield* a.server.connect(app("a1"))
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", () => {})
      const waiting = yield* Effect.fork(call(caller, "m1:x"))
      yield* Effect.promise(() => new Promise((resolve) => machine.socket.once("rpc-request", resolve)))
      hub.cut("b", false)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(waiting), refusals["registrant-gone"])
      assert.deepStrictEqual(yield* call(caller, "m1:x"), refusals.unavailable)
    })
  )

  it.scoped("fail at once when the replica of the registrant ends", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two()
      const caller = yield* a.server.connect(app("a1"))
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", () => {})
      const waiting = yield* Effect.fork(call(caller, "m1:x"))
      yield* Effect.promise(() => new Promise((resolve) => machine.socket.once("rpc-request", resolve)))
      yield* Effect.fork(b.stop)
      assert.deepStrictEqual(yield* Fiber.join(waiting), refusals["registrant-gone"])
    })
  )

  it.scoped("have the sizes, limits and errors of calls within one", () =>
    Effect.gen(function* () {
      const { a, b } = yield* two({ payloadBytesMax: 100, requestLimit: 1, callTimeout: "20 seconds" })
      const caller = yield* a.server.connect(app("a1"))
      const machine = yield* b.server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", ({ params }, ack) => {
        if (params !== "silent") ack(params === "long" ? "x".repeat(200) : params)
      })
      assert.deepStrictEqual(yield* call(caller, "m1:x", "x".repeat(200)), refusals["params-too-large"])
      assert.deepStrictEqual(yield* call(caller, "m1:x", "long"), refusals["result-too-large"])
      const silent = yield* Effect.fork(call(caller, "m1:x", "silent"))
      yield* Effect.promise(() => new Promise((resolve) => machine.socket.once("rpc-request", resolve)))
      assert.deepStrictEqual(yield* call(caller, "m1:x", 1), refusals["registrant-limit"])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* Fiber.join(silent), refusals.timeout)
    })
  )
})
