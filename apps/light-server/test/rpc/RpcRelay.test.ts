import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import type { Connection } from "../../src/realtime/Connection.ts"
import { type Line, SocketLookup } from "../../src/realtime/sending/SocketLookup.ts"
import { refusals } from "../../src/rpc/RpcAnswer.ts"
import * as RpcOptions from "../../src/rpc/RpcOptions.ts"
import * as RpcRelay from "../../src/rpc/RpcRelay.ts"
import { valueOf } from "../support/Gauges.ts"

interface Asked {
  readonly request: { readonly method: string; readonly params: unknown }
  readonly answer: (value: unknown) => void
  readonly silence: () => void
}

/** Sockets that a test connects, answers for and disconnects. */
const makeBoard = () => {
  const lines = new Map<string, { readonly line: Line; readonly asked: Array<Asked>; readonly close: () => void }>()
  const machine: Connection["scope"] = { _tag: "Machine", machineId: "m1" }
  const connect = (id: string, accountId = "a1", scope: Connection["scope"] = machine) => {
    const listeners: Array<(isFinal: boolean) => void> = []
    const asked: Array<Asked> = []
    const end = (isFinal: boolean) => () => {
      lines.delete(id)
      for (const listener of listeners) listener(isFinal)
    }
    const close = end(true)
    const line: Line = {
      id,
      say: () => {},
      ask: (request, _, answer, silence) => void asked.push({ request, answer, silence }),
      onClose: (listener) => void listeners.push(listener)
    }
    lines.set(id, { line, asked, close })
    const connection: Connection = { id, accountId, scope }
    return { connection, asked, close, lose: end(false) }
  }
  return { connect, board: SocketLookup.of({ find: (id) => lines.get(id)?.line }) }
}

const make = (options: Partial<RpcOptions.RpcOptions> = {}) => {
  const { connect, board } = makeBoard()
  return Effect.map(
    Effect.provideService(RpcRelay.make({ ...RpcOptions.defaults, ...options }), SocketLookup, board),
    (relay) => {
      const ask = (caller: { readonly connection: Connection }, params: unknown = 1, method = "m1:x") =>
        Effect.fork(relay.call(caller.connection, { method, params }))
      const answered = (fiber: Fiber.RuntimeFiber<unknown>) => fiber.unsafePoll() !== null
      return { relay, connect, ask, answered }
    }
  )
}

const inFlight = valueOf("rpc_calls_in_flight")

/** Lets forked calls reach the registrant. No clock is involved. */
const settle = Effect.repeatN(Effect.yieldNow(), 8)

describe("RpcRelay", () => {
  it.scoped("passes method and params on, and the result back", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, daemon] = [connect("caller"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      const call = yield* ask(caller, { path: "/tmp" })
      yield* settle
      assert.deepStrictEqual(daemon.asked[0]?.request, { method: "m1:x", params: { path: "/tmp" } })
      assert.strictEqual(yield* inFlight, 1)
      daemon.asked[0]?.answer({ files: [] })
      assert.deepStrictEqual(yield* Fiber.join(call), { ok: true, result: { files: [] } })
      assert.strictEqual(yield* inFlight, 0)
    })
  )

  it.scoped("times out after exactly 30 s, and ignores a later answer", () =>
    Effect.gen(function* () {
      const { answered, ask, connect, relay } = yield* make({ requestLimit: 1 })
      const [caller, daemon] = [connect("caller"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      const call = yield* ask(caller)
      yield* settle
      yield* TestClock.adjust("29999 millis")
      assert.isFalse(answered(call))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(call), refusals.timeout)
      assert.strictEqual(yield* inFlight, 0)
      // The slot is free again, and the late answer does not affect another call.
      const next = yield* ask(caller)
      yield* settle
      daemon.asked[0]?.answer("late")
      assert.isFalse(answered(next))
      daemon.asked[1]?.answer("in time")
      assert.deepStrictEqual(yield* Fiber.join(next), { ok: true, result: "in time" })
    })
  )

  it.scoped("ends a call at once when the registrant disconnects", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, daemon] = [connect("caller"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      const call = yield* ask(caller)
      yield* settle
      daemon.close()
      assert.deepStrictEqual(yield* Fiber.join(call), refusals["registrant-gone"])
      daemon.asked[0]?.answer("late")
      assert.strictEqual(yield* inFlight, 0)
      assert.strictEqual(yield* valueOf("rpc_methods"), 0)
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals.unavailable)
    })
  )

  it.scoped("ends a call at once when the caller disconnects, and counts the registrant as busy until it answers", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make({ requestLimit: 1 })
      const [caller, other, daemon] = [connect("caller"), connect("other"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      const call = yield* ask(caller)
      yield* settle
      caller.close()
      assert.deepStrictEqual(yield* Fiber.join(call), refusals["caller-gone"])
      assert.strictEqual(yield* inFlight, 0)
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(other)), refusals["registrant-limit"])
      daemon.asked[0]?.answer("nobody hears it")
      const next = yield* ask(other)
      yield* settle
      daemon.asked[1]?.answer("heard")
      assert.deepStrictEqual(yield* Fiber.join(next), { ok: true, result: "heard" })
      assert.strictEqual(yield* inFlight, 0)
    })
  )

  it.scoped("frees a registrant that did not answer a caller that left", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make({ requestLimit: 1 })
      const [caller, other, daemon] = [connect("caller"), connect("other"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      yield* ask(caller)
      yield* settle
      caller.close()
      daemon.asked[0]?.silence()
      yield* ask(other)
      yield* settle
      assert.strictEqual(daemon.asked.length, 2)
    })
  )

  it.scoped("lets a replaced registrant finish what it was asked, and asks the new one from then on", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, old, young] = [connect("caller"), connect("old"), connect("young")]
      relay.register(old.connection, "m1:x")
      const first = yield* ask(caller)
      yield* settle
      assert.strictEqual(relay.register(young.connection, "m1:x"), "replaced")
      const second = yield* ask(caller)
      yield* settle
      young.asked[0]?.answer("young")
      old.asked[0]?.answer("old")
      assert.deepStrictEqual(yield* Fiber.join(first), { ok: true, result: "old" })
      assert.deepStrictEqual(yield* Fiber.join(second), { ok: true, result: "young" })
      // A machine that came back is registered before its old socket is found to be dead.
      old.close()
      const third = yield* ask(caller)
      yield* settle
      young.asked[1]?.answer("still young")
      assert.deepStrictEqual(yield* Fiber.join(third), { ok: true, result: "still young" })
    })
  )

  it.scoped("sends no request when the method is unknown, foreign, unregistered or the caller's own", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, daemon, foreign] = [connect("caller"), connect("daemon"), connect("foreign", "a2")]
      relay.register(foreign.connection, "m1:x")
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals.unavailable)
      relay.register(daemon.connection, "m1:x")
      relay.unregister(daemon.connection, "m1:x")
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals.unavailable)
      relay.register(caller.connection, "m1:x")
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals["same-socket"])
      for (const { asked } of [caller, daemon, foreign]) assert.deepStrictEqual(asked, [])
    })
  )

  it.scoped("binds a method to the sockets of its machine or session", () =>
    Effect.gen(function* () {
      const { connect, relay } = yield* make()
      const session = connect("session", "a1", { _tag: "Session", sessionId: "s1" })
      const app = connect("app", "a1", { _tag: "User" })
      const daemon = connect("daemon")
      for (const { connection } of [session, app]) assert.strictEqual(relay.register(connection, "m1:x"), "foreign")
      for (const method of ["s1:x", "m11:x", "m:x"]) {
        assert.strictEqual(relay.register(daemon.connection, method), "foreign")
      }
      assert.strictEqual(relay.register(daemon.connection, "m1:x"), "registered")
      assert.strictEqual(relay.register(session.connection, "s1:x"), "registered")
    })
  )

  it.scoped("gives a method back to the older socket of a machine when the newer one leaves", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, old, young] = [connect("caller", "a1", { _tag: "User" }), connect("old"), connect("young")]
      relay.register(old.connection, "m1:x")
      relay.register(young.connection, "m1:x")
      young.lose()
      const call = yield* ask(caller)
      yield* settle
      old.asked[0]?.answer("old")
      assert.deepStrictEqual(yield* Fiber.join(call), { ok: true, result: "old" })
    })
  )

  it.scoped("lets a call wait for a machine that lost its connection, and for no longer than its grace", () =>
    Effect.gen(function* () {
      const { answered, ask, connect, relay } = yield* make({ callLimit: 2 })
      const caller = connect("caller", "a1", { _tag: "User" })
      const daemon = connect("daemon")
      relay.register(daemon.connection, "m1:x")
      yield* Effect.sync(() => daemon.lose())
      yield* TestClock.adjust("2 seconds")
      const call = yield* ask(caller)
      const other = yield* ask(caller, 1, "m1:y")
      yield* settle
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals["caller-limit"])
      const back = connect("back")
      relay.register(back.connection, "m1:x")
      yield* settle
      back.asked[0]?.answer("back")
      assert.deepStrictEqual(yield* Fiber.join(call), { ok: true, result: "back" })
      yield* TestClock.adjust("9900 millis")
      assert.isFalse(answered(other))
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(other), refusals.unavailable)
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller, 1, "m1:y")), refusals.unavailable)
    })
  )

  it.scoped("ends a call that waits when its caller leaves", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const caller = connect("caller", "a1", { _tag: "User" })
      const daemon = connect("daemon")
      relay.register(daemon.connection, "m1:x")
      daemon.lose()
      const call = yield* ask(caller)
      yield* settle
      caller.close()
      assert.deepStrictEqual(yield* Fiber.join(call), refusals["caller-gone"])
      const back = connect("back")
      relay.register(back.connection, "m1:x")
      yield* settle
      assert.deepStrictEqual(back.asked, [])
    })
  )

  it.scoped("refuses params and results beyond the limit", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make({ payloadBytesMax: 100 })
      const [caller, daemon] = [connect("caller"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller, "p".repeat(101))), refusals["params-too-large"])
      assert.deepStrictEqual(daemon.asked, [])
      const call = yield* ask(caller, "p".repeat(100))
      yield* settle
      daemon.asked[0]?.answer("r".repeat(101))
      assert.deepStrictEqual(yield* Fiber.join(call), refusals["result-too-large"])
      assert.strictEqual(yield* inFlight, 0)
    })
  )

  it.scoped("refuses one call too many of a caller, and one request too many to a registrant", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make({ callLimit: 2, requestLimit: 3 })
      const [first, second, daemon] = [connect("first"), connect("second"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      for (const caller of [first, first, second]) yield* ask(caller)
      yield* settle
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(first)), refusals["caller-limit"])
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(second)), refusals["registrant-limit"])
      daemon.asked[0]?.answer("done")
      yield* settle
      yield* ask(second)
      yield* settle
      assert.strictEqual(daemon.asked.length, 4)
    })
  )

  it.scoped("ignores a socket that is closed already", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make()
      const [caller, ghost] = [connect("caller"), connect("ghost")]
      ghost.close()
      assert.strictEqual(relay.register(ghost.connection, "m1:x"), "gone")
      assert.strictEqual(yield* valueOf("rpc_methods"), 0)
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(ghost)), refusals["caller-gone"])
      assert.deepStrictEqual(yield* Fiber.join(yield* ask(caller)), refusals.unavailable)
    })
  )

  it.scoped("releases every slot, wherever a call is interrupted", () =>
    Effect.gen(function* () {
      const { ask, connect, relay } = yield* make({ callLimit: 1, requestLimit: 1 })
      const [caller, daemon] = [connect("caller"), connect("daemon")]
      relay.register(daemon.connection, "m1:x")
      // A fiber that races a clock does not come to an end with a budget below 20.
      for (let budget = 24; budget <= 64; budget++) {
        for (let turns = 0; turns <= 6; turns++) {
          const call = yield* relay
            .call(caller.connection, { method: "m1:x", params: turns })
            .pipe(Effect.withMaxOpsBeforeYield(budget), Effect.fork)
          yield* Effect.repeatN(Effect.yieldNow(), turns)
          yield* Fiber.interrupt(call)
          const before = daemon.asked.length
          const next = yield* ask(caller)
          yield* settle
          assert.strictEqual(daemon.asked.length, before + 1, `place lost: budget ${budget}, turns ${turns}`)
          daemon.asked.at(-1)?.answer("done")
          yield* Fiber.join(next)
        }
      }
      assert.strictEqual(yield* inFlight, 0)
    })
  )

  it.scoped(
    "leaves nothing behind after a long random sequence of calls, answers, replacements and disconnects",
    () => {
      const seed = Number(process.env["RPC_SEED"] ?? 20_261_123)
      return Effect.gen(function* () {
        let state = seed >>> 0
        /** Mulberry32. */
        const random = (below: number) => {
          state = (state + 0x6d2b79f5) >>> 0
          let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
          mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
          return ((mixed ^ (mixed >>> 14)) >>> 0) % below
        }
        const { ask, connect, relay } = yield* make({ callLimit: 4, requestLimit: 4, methodLimit: 3 })
        const calls: Array<Fiber.RuntimeFiber<unknown>> = []
        const sockets = Array.from({ length: 8 }, (_, index) => connect(`0-${index}`, `a${index % 2}`))
        for (let step = 1; step <= 3000; step++) {
          const index = random(sockets.length)
          const socket = sockets[index]
          if (socket === undefined) continue
          const method = `m1:${random(5)}`
          const action = random(8)
          if (action < 2) relay.register(socket.connection, method)
          else if (action === 2) relay.unregister(socket.connection, method)
          else if (action < 6) calls.push(yield* ask(socket, step, method))
          else if (action === 6) socket.asked.splice(random(socket.asked.length + 1), 1)[0]?.answer(step)
          else {
            socket.close()
            sockets[index] = connect(`${step}-${index}`, `a${index % 2}`)
          }
          if (random(4) === 0) yield* settle
        }
        for (const socket of sockets) socket.close()
        // Every call has ended, without any time having passed.
        yield* Fiber.joinAll(calls)
        assert.strictEqual(yield* inFlight, 0, `RPC_SEED=${seed}`)
        assert.strictEqual(yield* valueOf("rpc_methods"), 0, `RPC_SEED=${seed}`)
      })
    }
  )
})
