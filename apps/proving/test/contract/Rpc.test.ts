/**
 * Goal: a socket answers for a method of its account, the newest registrant is
 * called, and a caller always receives how its call ended.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Line } from "../../src/drivers/Device.ts"
import { contract, overhear, type Person, Wire } from "../../src/contract/Wire.ts"

/** Registers a method, which then answers with its name and what it was given, or never. */
const register = (line: Line, method: string, answers = true) =>
  Effect.gen(function* () {
    const { say } = yield* Wire
    const from = line.heard.length
    yield* say(line, "rpc-register", { method })
    yield* line.until(({ event, payload }) => event === "rpc-registered" && payload.method === method, from)
    if (!answers) return
    line.socket.on("rpc-request", (request: { readonly method: string; readonly params: unknown }, answer) => {
      if (request.method === method) answer({ by: line.socket.id, params: request.params })
    })
  })

const daemonAndApp = ({ app, daemon }: Person) =>
  Effect.map(Effect.all([daemon, app]), ([{ line, machineId }, app]) => ({ app, line, method: `${machineId}:echo` }))

contract(
  "Rpc",
  (it) => {
    it.scoped("carries a call to the registrant and its result back, and to no other socket", () =>
      Effect.gen(function* () {
        const { ask, person } = yield* Wire
        const owner = yield* person()
        const { app, line, method } = yield* daemonAndApp(owner)
        const other = yield* owner.app
        yield* register(line, method)
        const params = { deep: [1, "two", null] }
        const { answer, names } = yield* overhear({ app, line, other }, ask(app, "rpc-call", "ok", { method, params }))
        assert.deepStrictEqual(answer.result, { by: line.socket.id, params })
        assert.deepStrictEqual(names, { app: [], line: ["rpc-request"], other: [] })
      })
    )

    it.scoped("calls the newest registrant, the older one when that is gone, and none after the last", () =>
      Effect.gen(function* () {
        const { ask, person, say } = yield* Wire
        const owner = yield* person()
        const { line, machineId } = yield* owner.daemon
        const app = yield* owner.app
        const newer = yield* owner.connect({ clientType: "machine-scoped", machineId })
        const method = `${machineId}:echo`
        yield* register(line, method)
        yield* register(newer, method)
        const { result } = yield* ask(app, "rpc-call", "ok", { method, params: 1 })
        assert.deepStrictEqual(result, { by: newer.socket.id, params: 1 })
        yield* say(newer, "rpc-unregister", { method })
        yield* newer.until(({ event }) => event === "rpc-unregistered")
        const older = yield* ask(app, "rpc-call", "ok", { method, params: 2 })
        assert.deepStrictEqual(older.result, { by: line.socket.id, params: 2 })
        yield* say(line, "rpc-unregister", { method })
        yield* line.until(({ event }) => event === "rpc-unregistered")
        yield* ask(app, "rpc-call", "unavailable", { method, params: 3 })
      })
    )

    it.scoped("refuses a method of a machine to an app and to the socket of a session", () =>
      Effect.gen(function* () {
        const { person, say } = yield* Wire
        const owner = yield* person()
        const { machineId } = yield* owner.daemon
        for (const line of [yield* owner.app, (yield* owner.agent).line]) {
          const from = line.heard.length
          yield* say(line, "rpc-register", { method: `${machineId}:echo` })
          const { payload } = yield* line.until(({ event }) => event === "rpc-error", from)
          const error = "The method belongs to another machine or session"
          assert.deepStrictEqual(payload, { type: "register", error })
        }
      })
    )

    it.scoped("refuses calls of other accounts, to oneself, without a registrant and without a name", () =>
      Effect.gen(function* () {
        const { ask, person } = yield* Wire
        const { app, line, method } = yield* daemonAndApp(yield* person())
        const stranger = yield* (yield* person()).app
        yield* register(line, method)
        yield* ask(stranger, "rpc-call", "unavailable", { method, params: 1 })
        yield* ask(line, "rpc-call", "same-socket", { method, params: 1 })
        yield* ask(app, "rpc-call", "unavailable", { method: `${method}2`, params: 1 })
        for (const wrong of [null, {}, { method: "" }, { method: 1 }]) yield* ask(app, "rpc-call", "invalid", wrong)
      })
    )

    it.scoped("ends a call whose registrant leaves, and forgets its methods", () =>
      Effect.gen(function* () {
        const { ask, person } = yield* Wire
        const { app, line, method } = yield* daemonAndApp(yield* person())
        yield* register(line, method, false)
        const leave = Effect.zipRight(
          line.until(({ event }) => event === "rpc-request"),
          Effect.sync(() => line.socket.disconnect())
        )
        const call = ask(app, "rpc-call", "registrant-gone", { method, params: 1 })
        yield* Effect.all([call, leave], { concurrency: "unbounded" })
        yield* ask(app, "rpc-call", "unavailable", { method, params: 1 })
      })
    )

    it.scoped("ends a call that is not answered in time", () =>
      Effect.gen(function* () {
        const { ask, person } = yield* Wire
        const { app, line, method } = yield* daemonAndApp(yield* person())
        yield* register(line, method, false)
        yield* ask(app, "rpc-call", "timeout", { method, params: 1 })
      })
    )

    it.scoped("refuses a malformed method name", () =>
      Effect.gen(function* () {
        const { person, say } = yield* Wire
        const { app } = yield* person()
        const line = yield* app
        for (const [event, type] of [
          ["rpc-register", "register"],
          ["rpc-unregister", "unregister"]
        ] as const) {
          const from = line.heard.length
          yield* say(line, event, { method: "no colon" })
          const { payload } = yield* line.until(({ event }) => event === "rpc-error", from)
          assert.deepStrictEqual(payload, { type, error: "Invalid method name" })
        }
      })
    )
  },
  { HAPPIER_RPC_CALL_TIMEOUT_MS: "1000" }
)
