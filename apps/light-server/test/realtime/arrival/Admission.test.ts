/**
 * Limits per address, checked before its handshakes are verified.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Authenticator } from "../../../src/door/Authenticator.ts"
import { Unauthorized } from "../../../src/Failure.ts"
import * as RateLimit from "../../../src/door/RateLimit.ts"
import { valueOf } from "../../support/Gauges.ts"
import * as PresenceProbe from "../../support/PresenceProbe.ts"
import { addTwoSessions } from "proving/drivers/Rows"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { app, authorized, layerOver, TestServer, tokenOf } from "../../support/TestServer.ts"

/** Tokens that were verified, in order. */
const asked: Array<string> = []

const authenticator = Layer.succeed(Authenticator, {
  verify: (token) =>
    Effect.suspend(() => {
      asked.push(token)
      return token.startsWith("token-of-")
        ? Effect.succeed(token.slice("token-of-".length))
        : new Unauthorized({ error: "Invalid token" })
    })
})

const layer = (limits: Partial<RateLimit.RateLimits>) => {
  asked.length = 0
  return layerOver(Layer.mergeAll(TestDatabase.layer, PresenceProbe.layer), {}, Layer.empty, {
    authenticator,
    http: { rateLimits: { ...RateLimit.defaults, ...limits } }
  })
}

const refusals = (reason: string) => valueOf("websocket_refusals_total", { key: "reason", value: reason })

describe("an address", () => {
  it.scoped(
    "with too many bad tokens is refused unverified, over sockets and HTTP, except for recently verified tokens",
    () =>
      Effect.gen(function* () {
        yield* Effect.tap(TestDatabase.TestDatabase, addTwoSessions)
        const server = yield* TestServer
        const before = yield* refusals("bad-tokens")
        const inside = yield* server.connect(app("a1"))
        for (const token of ["bad1", "bad2"]) {
          const client = yield* server.client({ token })
          client.socket.connect()
          assert.deepStrictEqual(yield* client.next("error"), { message: "Invalid authentication token" })
        }
        assert.deepStrictEqual(asked, [tokenOf("a1"), "bad1", "bad2"])
        const third = yield* server.client({ token: "bad3" }, { reconnection: false })
        third.socket.connect()
        assert.strictEqual(yield* third.next("transport"), "transport close")
        assert.strictEqual((yield* refusals("bad-tokens")) - before, 1)
        const stranger = yield* server.inject({ url: "/v2/cursor", headers: authorized("a2") })
        assert.strictEqual(stranger.statusCode, 429)
        assert.strictEqual(stranger.json<{ readonly code: string }>().code, "TooManyRequests")
        assert.deepStrictEqual(asked, [tokenOf("a1"), "bad1", "bad2"])
        inside.socket.disconnect()
        yield* server.connect(app("a1"))
        const known = yield* server.inject({ url: "/v2/cursor", headers: authorized("a1") })
        assert.strictEqual(known.statusCode, 200)
      }).pipe(Effect.provide(layer({ badTokens: 2 })))
  )

  it.scoped("opens no more sockets than its limit, and is answered when it may again", () =>
    Effect.gen(function* () {
      yield* Effect.tap(TestDatabase.TestDatabase, addTwoSessions)
      const server = yield* TestServer
      const before = yield* refusals("address-overload")
      yield* server.connect(app("a1"))
      yield* server.connect(app("a1"))
      const third = yield* server.client(app("a1"), { reconnection: false })
      third.socket.connect()
      yield* third.next("connect_error")
      const polled = yield* Effect.promise(() => fetch(`${server.url}/v1/updates/?EIO=4&transport=polling`))
      assert.strictEqual(polled.status, 429)
      assert.isAbove(Number(polled.headers.get("retry-after")), 0)
      assert.deepInclude(Object(yield* Effect.promise(() => polled.json())), {
        error: "Too many requests",
        code: "TooManyRequests",
        retryable: true
      })
      assert.strictEqual((yield* refusals("address-overload")) - before, 2)
    }).pipe(Effect.provide(layer({ sockets: 2 })))
  )
})
