/**
 * Goal: a client that may not connect gets the reason and stays away; one that
 * may not connect yet comes back.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { io } from "socket.io-client"
import type { Handshake, Line } from "../../src/drivers/Device.ts"
import { contract, Wire } from "../../src/contract/Wire.ts"

/** What a client receives on a permanent refusal, after which it does not come back by itself. */
const refusal = (line: Line) =>
  Effect.gen(function* () {
    yield* line.until(({ event }) => event === "disconnect")
    assert.deepStrictEqual(
      line.heard.map(({ event }) => event),
      ["connect", "error", "disconnect"]
    )
    assert.strictEqual(line.heard[2]?.payload, "io server disconnect")
    assert.isFalse(line.socket.active)
    return line.heard[1]?.payload.message
  })

contract("Handshake", (it) => {
  it.scoped("gives the reason for a refusal", () =>
    Effect.gen(function* () {
      const { dial, person } = yield* Wire
      const [owner, stranger] = yield* Effect.all([person(), person()])
      const { sid } = yield* owner.agent
      const { machineId } = yield* owner.daemon
      const { token } = stranger
      const noToken = "Missing authentication token"
      const noSession = "Session ID required for session-scoped clients"
      const noMachine = "Machine ID required for machine-scoped clients"
      const wrongToken = "Invalid authentication token"
      const cases: ReadonlyArray<readonly [Handshake, string]> = [
        [{}, noToken],
        [{ token: 7 }, noToken],
        [{ token: "not-a-token" }, wrongToken],
        [{ token, clientType: "session-scoped" }, noSession],
        [{ token, clientType: "session-scoped", sessionId: 7 }, noSession],
        [{ token, clientType: "machine-scoped" }, noMachine],
        [{ token, clientType: "session-scoped", sessionId: sid }, wrongToken],
        [{ token, clientType: "session-scoped", sessionId: "none" }, wrongToken],
        [{ token, clientType: "machine-scoped", machineId }, wrongToken]
      ]
      for (const [handshake, message] of cases) {
        assert.strictEqual(yield* refusal(yield* dial(handshake)), message, JSON.stringify(handshake))
      }
    })
  )

  it.scoped("treats a client without a type as an app", () =>
    Effect.gen(function* () {
      const { person } = yield* Wire
      const owner = yield* person()
      const { token } = owner
      const line = yield* owner.connect({ token })
      yield* owner.agent
      yield* line.until(({ event, payload }) => event === "update" && payload.body.t === "new-session")
    })
  )

  it.scoped("closes the transport of a machine that is not registered yet, which comes back until it is", () =>
    Effect.gen(function* () {
      const { ask, dial, person } = yield* Wire
      const { call, token } = yield* person()
      const machineId = crypto.randomUUID()
      const line = yield* dial({ token, clientType: "machine-scoped", machineId })
      yield* Effect.async<void>((resume) => void line.socket.io.once("reconnect_attempt", () => resume(Effect.void)))
      yield* call("POST /v1/machines", 200, { body: { id: machineId, metadata: "m" } })
      yield* line.until(({ event }) => event === "connect")
      assert.isFalse(line.heard.some(({ event }) => event === "error"))
      assert.deepStrictEqual(yield* ask(line, "ping", "pong"), {})
    })
  )

  it.scoped("serves a client that polls", () =>
    Effect.gen(function* () {
      const { person, server } = yield* Wire
      const { token } = yield* person()
      const auth = { token, clientType: "user-scoped" }
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => io(server.url, { path: "/v1/updates", transports: ["polling"], auth, forceNew: true })),
        (socket) => Effect.sync(() => socket.disconnect())
      )
      const answer = yield* Effect.async((resume) => {
        socket.once("connect", () => socket.emit("ping", (pong: unknown) => resume(Effect.succeed(pong))))
      })
      assert.deepStrictEqual(answer, {})
      assert.strictEqual(socket.io.engine.transport.name, "polling")
    })
  )

  it.scoped("answers nothing to an event that it does not know, and goes on", () =>
    Effect.gen(function* () {
      const { ask, person } = yield* Wire
      const line = yield* (yield* person()).app
      line.socket.emit("nobody-knows-it", { id: "a" }, () => assert.fail("an answer"))
      assert.deepStrictEqual(yield* ask(line, "ping", "pong"), {})
    })
  )
})
