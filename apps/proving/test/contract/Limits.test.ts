/**
 * Goal: a client that sends too much gets the time to come back, and no other client is affected.
 */
import { assert } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as Shapes from "../../src/contract/Shapes.ts"
import { contract, demand, type Request, Wire } from "../../src/contract/Wire.ts"

const limits = { auth: 30, control: 5, reads: 10, burst: 10 }

/** Sends requests until one is refused, and returns how many were not. */
const exhaust = (method: string, path: string, sent: () => Request) =>
  Effect.gen(function* () {
    const { request } = yield* Wire
    for (let count = 0; count <= limits.auth; count++) {
      const { data, status } = yield* request(method, path, sent())
      if (status !== 429) continue
      demand(`${method} ${path}`, Shapes.Later, data)
      assert.strictEqual(data.code, "TooManyRequests")
      return count
    }
    return assert.fail(`${method} ${path} was never refused`)
  })

contract(
  "Limits",
  (it) => {
    it.scoped("counts what changes something apart from what reads, and each account by itself", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const [eager, calm] = yield* Effect.all([person(), person()])
        const headers = { authorization: `Bearer ${eager.token}` }
        const body = { tag: "t", metadata: "m" }
        assert.strictEqual(yield* exhaust("POST", "/v1/sessions", () => ({ headers, body })), limits.control)
        // It asked for its profile once before.
        assert.strictEqual(yield* exhaust("GET", "/v1/sessions", () => ({ headers })), limits.reads - 1)
        yield* calm.call("POST /v1/sessions", 200, { body })
        yield* calm.call("GET /v1/sessions", 200)
      })
    )

    it.scoped("refuses calls of a socket that sends too much, hears it again later, and refuses no message", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const { agent } = yield* person()
        const { line, sid } = yield* agent
        const many = Array.from({ length: limits.burst + 5 })
        const all = (event: string, payload: object) =>
          Effect.all(
            many.map(() => line.ask(event, payload)),
            { concurrency: "unbounded" }
          )
        const acks = yield* all("message", { sid, message: "m" })
        assert.deepStrictEqual(
          acks.map(({ ok, seq }) => [ok, seq]),
          many.map((_, index) => [true, index + 1])
        )
        const method = "nobody:has-it"
        const codes = (yield* all("rpc-call", { method })).map(({ errorCode }) => errorCode)
        assert.sameMembers([...new Set(codes)], ["RPC_METHOD_NOT_AVAILABLE", "RPC_TOO_MANY_CALLS"])
        yield* Effect.repeat(line.ask("rpc-call", { method }), {
          until: ({ errorCode }) => errorCode === "RPC_METHOD_NOT_AVAILABLE",
          schedule: Schedule.spaced("500 millis")
        })
        assert.isFalse(line.heard.some(({ event }) => event === "disconnect"))
      })
    )

    it.scoped("counts logins by address, and does not affect logged-in clients", () =>
      Effect.gen(function* () {
        const { person } = yield* Wire
        const somebody = yield* person()
        const count = yield* exhaust("POST", "/v1/auth", () => ({ body: Client.make().challenge() }))
        assert.isBelow(count, limits.auth)
        yield* somebody.call("GET /v1/sessions", 200)
      })
    )
  },
  {
    HAPPIER_RATE_LIMIT_AUTH: String(limits.auth),
    HAPPIER_RATE_LIMIT_CONTROL: String(limits.control),
    HAPPIER_RATE_LIMIT_READS: String(limits.reads),
    HAPPIER_SOCKET_EVENTS_PER_SECOND: "5",
    HAPPIER_SOCKET_EVENT_BURST: String(limits.burst)
  }
)
