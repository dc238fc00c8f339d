/**
 * Rate limits: what is counted together, and the answer to requests above the
 * limit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import type { InjectOptions } from "fastify"
import { randomBytes } from "node:crypto"
import { vi } from "vitest"
import * as RateLimit from "../../src/door/RateLimit.ts"
import * as Client from "proving/drivers/AccountClient"
import { forgetCounts, inject, layer, login } from "../support/AccountServer.ts"
import { TestDatabase } from "../support/TestDatabase.ts"

const limits = (change: Partial<RateLimit.RateLimits>) =>
  layer({ http: { rateLimits: { ...RateLimit.defaults, ...change } } })

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const status = (request: InjectOptions) => Effect.map(inject(request), ({ statusCode }) => statusCode)

/** Sends so many requests, and returns the statuses. */
const statuses = (count: number, request: InjectOptions) => Effect.replicateEffect(status(request), count)

const ask = (remoteAddress: string): InjectOptions => ({
  method: "POST",
  url: "/v1/auth/request",
  remoteAddress,
  payload: { publicKey: randomBytes(32).toString("base64") }
})

describe("limits before the login", () => {
  it.scoped("count by address, and answer the one too many with 429, Retry-After and the usual body", () =>
    Effect.gen(function* () {
      const before = yield* Metric.value(RateLimit.limitedTotal.auth)
      assert.deepStrictEqual(yield* statuses(3, ask("192.0.2.1")), [200, 200, 200])
      const refused = yield* inject(ask("192.0.2.1"))
      assert.strictEqual(refused.statusCode, 429)
      const { retryAfterMs, ...body } = refused.json<{ readonly retryAfterMs: number }>()
      assert.deepStrictEqual<unknown>(body, { error: "Too many requests", code: "TooManyRequests", retryable: true })
      assert.strictEqual(refused.headers["retry-after"], String(retryAfterMs / 1000))
      assert.isAtMost(retryAfterMs, 120_000)
      assert.strictEqual(yield* status(ask("192.0.2.2")), 200)
      const after = yield* Metric.value(RateLimit.limitedTotal.auth)
      assert.strictEqual(after.count - before.count, 1)
    }).pipe(Effect.provide(limits({ auth: 3 })))
  )

  it.scoped("refuse before the body is read and the database is asked", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      yield* statuses(3, ask("192.0.2.1"))
      yield* forgetCounts
      assert.strictEqual(yield* status({ ...ask("192.0.2.1"), payload: "no json" }), 429)
      assert.deepStrictEqual([database.writes, database.readCount], [[], 0])
    }).pipe(Effect.provide(limits({ auth: 3 })))
  )

  it.scoped("count an IPv6 network of 64 bits as one, and an IPv4 address in IPv6 form as itself", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Effect.forEach(["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:9::", "2001:db8:0:1::1"], (address) =>
          status(ask(address))
        ),
        [200, 200, 429, 200]
      )
      assert.deepStrictEqual(
        yield* Effect.forEach(["192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"], (address) =>
          status(ask(address))
        ),
        [200, 200, 429, 200]
      )
    }).pipe(Effect.provide(limits({ auth: 2 })))
  )

  it.scoped("count logins and wrong tokens together", () =>
    Effect.gen(function* () {
      const remoteAddress = "192.0.2.1"
      const wrong: InjectOptions = { url: "/v1/account/profile", remoteAddress, headers: bearer("x") }
      const none: InjectOptions = { url: "/v1/machines", remoteAddress }
      assert.deepStrictEqual(yield* statuses(2, wrong), [401, 401])
      assert.strictEqual(yield* status(none), 401)
      assert.strictEqual(yield* status(none), 429)
      const payload = Client.make().challenge()
      assert.strictEqual(yield* status({ method: "POST", url: "/v1/auth", remoteAddress, payload }), 429)
    }).pipe(Effect.provide(limits({ auth: 3 })))
  )

  it.scoped("end with their window", () =>
    Effect.gen(function* () {
      yield* Effect.acquireRelease(
        Effect.sync(() => vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 })),
        () => Effect.sync(() => vi.useRealTimers())
      )
      assert.deepStrictEqual(yield* statuses(2, ask("192.0.2.1")), [200, 429])
      vi.setSystemTime(1_059_999)
      assert.strictEqual(yield* status(ask("192.0.2.1")), 429)
      vi.setSystemTime(1_060_000)
      assert.strictEqual(yield* status(ask("192.0.2.1")), 200)
    }).pipe(Effect.provide(limits({ auth: 1 })))
  )

  it.scoped("ignore X-Forwarded-For unless a proxy is trusted", () =>
    Effect.gen(function* () {
      const from = (address: string) => ({ ...ask("127.0.0.1"), headers: { "x-forwarded-for": address } })
      assert.deepStrictEqual(
        yield* Effect.forEach(["192.0.2.1", "192.0.2.2"], (address) => status(from(address))),
        [200, 429]
      )
    }).pipe(Effect.provide(limits({ auth: 1 })))
  )

  it.scoped("count by the address that a trusted proxy names, and not by one that its client made up", () =>
    Effect.gen(function* () {
      const from = (addresses: string) => ({ ...ask("127.0.0.1"), headers: { "x-forwarded-for": addresses } })
      assert.deepStrictEqual(
        yield* Effect.forEach(["192.0.2.1", "192.0.2.2", "192.0.2.9, 192.0.2.1"], (addresses) =>
          status(from(addresses))
        ),
        [200, 200, 429]
      )
    }).pipe(
      Effect.provide(layer({ http: { rateLimits: { ...RateLimit.defaults, auth: 1 }, trustedProxies: ["loopback"] } }))
    )
  )

  it.scoped("remember so many addresses and no more", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* status(ask("192.0.2.1")), 200)
      for (let last = 2; last <= 4; last++) yield* status(ask(`192.0.2.${last}`))
      assert.strictEqual(yield* status(ask("192.0.2.1")), 200)
      assert.strictEqual(yield* status(ask("192.0.2.1")), 429)
    }).pipe(Effect.provide(limits({ auth: 1, keyCapacity: 3 })))
  )
})

describe("limits after the login", () => {
  it.scoped("count by account wherever it asks from, reads apart from changes", () =>
    Effect.gen(function* () {
      const [ada, bob] = [yield* login(), yield* login()]
      const read = (token: string, remoteAddress: string): InjectOptions => ({
        url: "/v1/machines",
        remoteAddress,
        headers: bearer(token)
      })
      const change: InjectOptions = {
        method: "POST",
        url: "/v1/machines",
        headers: bearer(ada.token),
        payload: { id: "m1", metadata: "sealed" }
      }
      // The login helper has read the profile of each.
      assert.strictEqual(yield* status(read(ada.token, "192.0.2.1")), 200)
      assert.strictEqual(yield* status(read(ada.token, "192.0.2.2")), 200)
      assert.strictEqual(yield* status(read(ada.token, "192.0.2.3")), 429)
      assert.strictEqual(yield* status(read(bob.token, "192.0.2.3")), 200)
      assert.deepStrictEqual(yield* statuses(3, change), [200, 200, 429])
    }).pipe(Effect.provide(limits({ reads: 3, control: 2 })))
  )

  it.scoped("do not depend on other clients at the same address", () =>
    Effect.gen(function* () {
      const { token } = yield* login()
      const remoteAddress = "192.0.2.1"
      yield* statuses(5, { url: "/v1/machines", remoteAddress, headers: bearer("x") })
      assert.strictEqual(yield* status({ url: "/v1/machines", remoteAddress, headers: bearer("x") }), 429)
      assert.strictEqual(yield* status({ url: "/v1/machines", remoteAddress, headers: bearer(token) }), 200)
    }).pipe(Effect.provide(limits({ auth: 2 })))
  )

  it.scoped("keep a change that is one too many from the writer", () =>
    Effect.gen(function* () {
      const database = yield* TestDatabase
      const { token } = yield* login()
      const change = (id: string): InjectOptions => ({
        method: "POST",
        url: "/v1/machines",
        headers: bearer(token),
        payload: { id, metadata: "sealed" }
      })
      yield* status(change("m1"))
      yield* forgetCounts
      assert.strictEqual(yield* status(change("m2")), 429)
      assert.deepStrictEqual([database.writes, database.readCount], [[], 0])
    }).pipe(Effect.provide(limits({ control: 1 })))
  )
})

describe("no limit", () => {
  it.scoped("holds where zero is asked for", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(new Set(yield* statuses(50, ask("192.0.2.1"))), new Set([200]))
    }).pipe(Effect.provide(limits({ auth: 0 })))
  )

  it.scoped("of the other groups binds the welcome, health and routes that do not exist", () =>
    Effect.gen(function* () {
      for (const url of ["/", "/livez", "/v1/version", "/v9/none"]) {
        const remoteAddress = `192.0.2.${url.length}`
        assert.notInclude(yield* statuses(5, { url, remoteAddress }), 429, url)
        assert.strictEqual(yield* status({ url, remoteAddress }), 429, url)
      }
    }).pipe(Effect.provide(limits({ auth: 1, reads: 1, control: 1, open: 5 })))
  )
})

describe("a cost", () => {
  const big = "x".repeat(1_000_000)

  it.scoped("is one point for a small answer and more for a large one, charged after it", () =>
    Effect.gen(function* () {
      const { token } = yield* login()
      const register = (id: string): InjectOptions => ({
        method: "POST",
        url: "/v1/machines",
        headers: bearer(token),
        payload: { id, metadata: big }
      })
      yield* status(register("m1"))
      const list: InjectOptions = { url: "/v1/machines", headers: bearer(token) }
      const before = yield* Metric.value(RateLimit.chargedTotal.reads)
      // One point for the profile that the login helper reads, one for the list, fifteen for its million bytes.
      assert.strictEqual(yield* status(list), 200)
      const after = yield* Metric.value(RateLimit.chargedTotal.reads)
      assert.isAtLeast(after.count - before.count, 15)
      assert.include(yield* statuses(2, list), 429)
      const refused = yield* inject(list)
      assert.strictEqual(refused.statusCode, 429)
      assert.isDefined(refused.headers["retry-after"])
      // The cost of reads does not affect changes.
      assert.strictEqual(yield* status({ ...register("m2"), payload: { id: "m2", metadata: "small" } }), 200)
    }).pipe(Effect.provide(limits({ reads: 20 })))
  )
})
