import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Layer } from "effect"
import type * as RealtimeOptions from "../../src/realtime/RealtimeOptions.ts"
import { SocketServer } from "../../src/realtime/SocketServer.ts"
import { refusals } from "../../src/rpc/RpcAnswer.ts"
import * as RpcEvents from "../../src/rpc/RpcEvents.ts"
import * as RpcOptions from "../../src/rpc/RpcOptions.ts"
import * as RpcRelay from "../../src/rpc/RpcRelay.ts"
import { valueOf } from "../support/Gauges.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, type Client, daemon, layerWith, TestServer } from "../support/TestServer.ts"

const layer = (options: Partial<RpcOptions.RpcOptions> = {}, realtime: Partial<RealtimeOptions.RealtimeOptions> = {}) =>
  layerWith(realtime, RpcEvents.layer.pipe(Layer.provide(RpcRelay.layer({ ...RpcOptions.defaults, ...options }))))

const twoAccounts = Effect.map(TestDatabase, (database) => {
  for (const n of [1, 2]) {
    database.addAccount(`a${n}`)
    database.sqlite.exec(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('s${n}', 't', 'a${n}', 'sealed', 5, 5, 5);
       INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('m${n}', 'a${n}', 'sealed', 0, 5, 5, 5)`
    )
  }
})

type Ack = (result?: unknown) => void

/** Registers, and answers each request with the given function. */
const serve = (client: Client, method: string, answer: (request: any, ack: Ack) => void) =>
  Effect.gen(function* () {
    client.socket.on("rpc-request", answer)
    client.emit("rpc-register", { method })
    assert.deepStrictEqual(yield* client.next("rpc-registered"), { method })
  })

const call = (client: Client, method: unknown, params?: unknown) => client.ask("rpc-call", { method, params })

describe("rpc-register and rpc-unregister", () => {
  it.scoped("are confirmed, also for a method that is not one's own", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const client = yield* server.connect(daemon("a1", "m1"))
      client.emit("rpc-register", { method: "m1:x" })
      assert.deepStrictEqual(yield* client.next("rpc-registered"), { method: "m1:x" })
      for (const method of ["m1:x", "m1:y"]) {
        client.emit("rpc-unregister", { method })
        assert.deepStrictEqual(yield* client.next("rpc-unregistered"), { method })
      }
      assert.deepStrictEqual(yield* client.rest("rpc-error"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("are refused with rpc-error when the name is malformed", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const client = yield* (yield* TestServer).connect(daemon("a1", "m1"))
      const wrong = [undefined, null, "m1:x", {}, { method: "" }, { method: 7 }, { method: "x" }, { method: "m1:" }]
      for (const type of ["register", "unregister"]) {
        for (const payload of [...wrong, { method: ":x" }, { method: `m1:${"x".repeat(254)}` }]) {
          client.emit(`rpc-${type}`, payload)
          assert.deepStrictEqual(yield* client.next("rpc-error"), { type, error: "Invalid method name" })
        }
      }
      assert.deepStrictEqual(yield* client.rest("rpc-registered"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("are refused with rpc-error beyond the limits of the socket", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const many = yield* server.connect(daemon("a1", "m1"))
      for (const name of ["x", "y", "z"]) many.emit("rpc-register", { method: `m1:${name}` })
      assert.deepStrictEqual(yield* many.next("rpc-error"), { type: "register", error: "Too many methods" })
      // The connection took one event of the budget, the limit of methods three.
      many.emit("rpc-register", { method: "m1:x" })
      many.emit("rpc-unregister", { method: "m1:x" })
      assert.deepStrictEqual(yield* many.next("rpc-error"), { type: "unregister", error: "Too many events" })
    }).pipe(Effect.provide(layer({ methodLimit: 2 }, { eventBurst: 5, eventsPerSecond: 0.001 })))
  )
})

describe("rpc-call", () => {
  it.scoped("reaches a daemon from an app and from an agent, and carries bytes both ways", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:echo", (request, ack) => ack(request))
      for (const auth of [app("a1"), agent("a1", "s1")]) {
        const caller = yield* server.connect(auth)
        const params = { text: "hello", bytes: Buffer.from("bytes") }
        assert.deepStrictEqual(yield* call(caller, "m1:echo", params), {
          ok: true,
          result: { method: "m1:echo", params }
        })
      }
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("ends with the text of the protocol when no socket of the account has the method", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const foreign = yield* server.connect(daemon("a2", "m2"))
      yield* serve(foreign, "m2:x", (_, ack) => ack("secret"))
      const caller = yield* server.connect(app("a1"))
      for (const method of ["m2:x", "m1:x", "no colon", "__proto__"]) {
        assert.deepStrictEqual(yield* call(caller, method), {
          ok: false,
          error: "RPC method not available",
          errorCode: "RPC_METHOD_NOT_AVAILABLE"
        })
      }
      const own = yield* server.connect(daemon("a1", "m1"))
      yield* serve(own, "m1:own", (_, ack) => ack("own"))
      assert.deepStrictEqual(yield* call(own, "m1:own"), { ok: false, error: "Cannot call RPC on the same socket" })
      for (const method of [undefined, "", 7]) assert.deepStrictEqual(yield* call(caller, method), refusals.invalid)
      assert.deepStrictEqual(yield* foreign.rest("rpc-request"), [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("takes a method from another account's registrant neither by calling nor by registering it", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const own = yield* server.connect(daemon("a1", "m1"))
      yield* serve(own, "m1:x", (_, ack) => ack("own"))
      for (const auth of [app("a2"), daemon("a2", "m2"), app("a1"), agent("a1", "s1")]) {
        const foreign = yield* server.connect(auth)
        foreign.emit("rpc-register", { method: "m1:x" })
        assert.deepStrictEqual(yield* foreign.next("rpc-error"), {
          type: "register",
          error: "The method belongs to another machine or session"
        })
        foreign.emit("rpc-unregister", { method: "m1:x" })
        yield* foreign.next("rpc-unregistered")
      }
      assert.deepStrictEqual(yield* call(yield* server.connect(app("a1")), "m1:x"), { ok: true, result: "own" })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("is answered at once when the registrant disconnects in the middle", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", () => machine.socket.disconnect())
      const caller = yield* server.connect(app("a1"))
      assert.deepStrictEqual(yield* call(caller, "m1:x"), refusals["registrant-gone"])
      assert.deepStrictEqual(yield* call(caller, "m1:x"), refusals.unavailable)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("ends when the caller disconnects in the middle, and its next connection hears no late ack", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      const asked = yield* Deferred.make<Ack>()
      yield* serve(machine, "m1:x", (_, ack) => Deferred.unsafeDone(asked, Effect.succeed(ack)))
      const caller = yield* server.connect(app("a1"))
      const acks: Array<unknown> = []
      caller.socket.emit("rpc-call", { method: "m1:x", params: 1 }, (answer: unknown) => void acks.push(answer))
      const answer = yield* Deferred.await(asked)
      const gone = Effect.async<void>((resume) => {
        io.sockets.sockets.get(String(caller.socket.id))?.once("disconnect", () => resume(Effect.void))
        caller.socket.io.engine.close()
      })
      yield* gone
      assert.strictEqual(yield* valueOf("rpc_calls_in_flight"), 0)
      yield* caller.next("connect")
      answer("late")
      yield* machine.flush
      yield* caller.flush
      assert.deepStrictEqual(acks, [])
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("ends with a time-out when the registrant stays silent, whose late answer is ignored", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      const asked = yield* Deferred.make<Ack>()
      yield* serve(machine, "m1:x", (_, ack) => Deferred.unsafeDone(asked, Effect.succeed(ack)))
      const caller = yield* server.connect(app("a1"))
      // The limit is measured by the system's clock here: the test clock stands still.
      assert.deepStrictEqual(yield* call(caller, "m1:x"), refusals.timeout)
      ;(yield* Deferred.await(asked))("late")
      yield* machine.flush
      yield* caller.flush
      assert.strictEqual(yield* valueOf("rpc_calls_in_flight"), 0)
    }).pipe(Effect.provide(layer({ callTimeout: "50 millis" })))
  )

  it.scoped("is answered by the newest registrant, and by the replaced one for what it was asked before", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const old = yield* server.connect(daemon("a1", "m1"))
      const asked = yield* Deferred.make<Ack>()
      yield* serve(old, "m1:x", (_, ack) => Deferred.unsafeDone(asked, Effect.succeed(ack)))
      const caller = yield* server.connect(app("a1"))
      const first = new Promise((resolve) => caller.socket.emit("rpc-call", { method: "m1:x" }, resolve))
      const answer = yield* Deferred.await(asked)
      const young = yield* server.connect(daemon("a1", "m1"))
      yield* serve(young, "m1:x", (_, ack) => ack("young"))
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "young" })
      answer("old")
      assert.deepStrictEqual(yield* Effect.promise(() => first), { ok: true, result: "old" })
      old.socket.disconnect()
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "young" })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("is answered again by a registrant that came back after its transport was lost", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const { io } = yield* SocketServer
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:x", (_, ack) => ack("here"))
      // As every client does: the server may have restarted in between.
      machine.socket.on("connect", () => machine.emit("rpc-register", { method: "m1:x" }))
      const caller = yield* server.connect(app("a1"))
      io.sockets.sockets.get(String(machine.socket.id))?.conn.close()
      yield* machine.next("rpc-registered")
      assert.deepStrictEqual(yield* call(caller, "m1:x"), { ok: true, result: "here" })
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("is refused when params or result are too large or too deep, and affects no other call", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      yield* serve(machine, "m1:grow", ({ params }, ack) => ack("r".repeat(params)))
      const caller = yield* server.connect(app("a1"))
      assert.deepStrictEqual(yield* call(caller, "m1:grow", "p".repeat(2001)), refusals["params-too-large"])
      assert.deepStrictEqual(yield* call(caller, "m1:grow", 2001), refusals["result-too-large"])
      const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`
      caller.socket.io.engine.write(`2["rpc-call",{"method":"m1:grow","params":${deep}}]`)
      yield* caller.flush
      assert.deepStrictEqual(yield* call(caller, "m1:grow", 3), { ok: true, result: "rrr" })
    }).pipe(Effect.provide(layer({ payloadBytesMax: 2000 })))
  )

  it.scoped("is refused with its own text beyond the budget of events", () =>
    Effect.gen(function* () {
      yield* twoAccounts
      const caller = yield* (yield* TestServer).connect(app("a1"))
      for (const refusal of [refusals.unavailable, refusals["caller-limit"]]) {
        assert.deepStrictEqual(yield* call(caller, "m1:x"), refusal)
      }
    }).pipe(Effect.provide(layer({}, { eventBurst: 2, eventsPerSecond: 0.001 })))
  )

  it.scoped("ends at once when the server stops", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.scoped(
        Effect.gen(function* () {
          yield* twoAccounts
          const server = yield* TestServer
          const machine = yield* server.connect(daemon("a1", "m1"))
          const asked = yield* Deferred.make<Ack>()
          yield* serve(machine, "m1:x", (_, ack) => Deferred.unsafeDone(asked, Effect.succeed(ack)))
          const caller = yield* server.connect(app("a1"))
          caller.emit("rpc-call", { method: "m1:x" })
          yield* Deferred.await(asked)
          return yield* valueOf("rpc_calls_in_flight")
        }).pipe(Effect.provide(layer({}, { drainTimeout: "1 hour" })))
      )
      assert.strictEqual(waiting, 1)
      assert.strictEqual(yield* valueOf("rpc_calls_in_flight"), 0)
    })
  )
})
