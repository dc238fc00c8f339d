/**
 * Bad tokens are charged to their address before they are verified.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Either, Exit, Fiber } from "effect"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import * as FailureLimiter from "../../src/door/FailureLimiter.ts"
import { AccountDisabled, TooManyRequests, Unauthorized } from "../../src/Failure.ts"
import { vi } from "vitest"
import * as RateLimit from "../../src/door/RateLimit.ts"
import { valueOf } from "../support/Gauges.ts"

/** The limiter reads the clock of the system, which the test sets. */
const clock = Effect.acquireRelease(
  Effect.sync(() => {
    vi.useFakeTimers({ toFake: ["Date"], now: 1_000_000 })
    return { advance: (millis: number) => Effect.sync(() => void vi.setSystemTime(Date.now() + millis)) }
  }),
  () => Effect.sync(() => vi.useRealTimers())
)

/** Accepts tokens that begin with `good`, fails for `unknown`, and counts its calls. */
const makeBox = (limits: Partial<RateLimit.RateLimits>, gate: Effect.Effect<void> = Effect.void) => {
  const asked: Array<string> = []
  const all = { ...RateLimit.defaults, ...limits }
  const failureLimiter = FailureLimiter.make(
    {
      verify: (token) =>
        Effect.gen(function* () {
          asked.push(token)
          yield* gate
          if (token.startsWith("good")) return "account"
          if (token === "disabled") return yield* new AccountDisabled({ accountId: "account" })
          if (token === "unknown") return yield* new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
          return yield* new Unauthorized({ error: "Invalid token" })
        })
    },
    RateLimit.make(all),
    all.keyCapacity
  )
  return { asked, failureLimiter }
}

const tags = (outcomes: ReadonlyArray<Either.Either<string, { readonly _tag: string }>>) =>
  outcomes.map((outcome) => (Either.isRight(outcome) ? outcome.right : outcome.left._tag))

describe("FailureLimiter", () => {
  it.scoped("charges the token of a disabled account to nobody: it is good", () =>
    Effect.gen(function* () {
      yield* clock
      const { failureLimiter } = makeBox({ badTokens: 2 })
      const verify = (token: string) => Effect.either(failureLimiter.verify("192.0.2.1", token))
      const outcomes = yield* Effect.forEach(["disabled", "disabled", "disabled", "good1", "bad1"], verify)
      assert.deepStrictEqual(tags(outcomes), [
        "AccountDisabled",
        "AccountDisabled",
        "AccountDisabled",
        "account",
        "Unauthorized"
      ])
    })
  )

  it.scoped("verifies a limited number of bad tokens per address, answers when to come back, and forgets them", () =>
    Effect.gen(function* () {
      const { advance } = yield* clock
      const { asked, failureLimiter } = makeBox({ badTokens: 3 })
      const verify = (address: string, token: string) => Effect.either(failureLimiter.verify(address, token))
      const before = yield* valueOf("http_rate_limited_total", { key: "group", value: "tokens" })
      yield* advance(15_000)
      const outcomes = yield* Effect.forEach(["bad1", "bad2", "bad3", "bad4", "good1"], (token) =>
        verify("192.0.2.1", token)
      )
      assert.deepStrictEqual(tags(outcomes), [
        "Unauthorized",
        "Unauthorized",
        "Unauthorized",
        "TooManyRequests",
        "TooManyRequests"
      ])
      assert.deepStrictEqual(asked, ["bad1", "bad2", "bad3"])
      assert.strictEqual((yield* valueOf("http_rate_limited_total", { key: "group", value: "tokens" })) - before, 2)
      assert.deepStrictEqual(tags([yield* verify("192.0.2.2", "good1")]), ["account"])
      yield* advance(59_000)
      assert.deepStrictEqual(
        yield* Effect.flip(failureLimiter.verify("192.0.2.1", "bad")),
        new TooManyRequests({ retryAfterMillis: 1000 })
      )
      yield* advance(1000)
      assert.deepStrictEqual(tags([yield* verify("192.0.2.1", "good2")]), ["account"])
    })
  )

  it.effect("charges them before they are verified, so that many at once gain nothing", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { asked, failureLimiter } = makeBox({ badTokens: 3 }, Deferred.await(gate))
      const verifying = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 50 }),
          (_, index) => Effect.either(failureLimiter.verify("192.0.2.1", `bad${index}`)),
          {
            concurrency: "unbounded"
          }
        )
      )
      yield* Effect.yieldNow().pipe(Effect.repeatN(20))
      assert.strictEqual(asked.length, 3)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(tags(yield* Fiber.join(verifying)).filter((tag) => tag === "TooManyRequests").length, 47)
    })
  )

  it.effect("returns the charge for good tokens, for reads that fail, and for clients that disconnect meanwhile", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const { failureLimiter } = makeBox({ badTokens: 1 })
      for (const token of ["good1", "good2", "unknown", "unknown"]) {
        yield* Effect.exit(failureLimiter.verify("192.0.2.1", token))
      }
      const stuck = makeBox({ badTokens: 1 }, Deferred.await(gate))
      const leaving = yield* Effect.fork(stuck.failureLimiter.verify("192.0.2.1", "good"))
      yield* Effect.yieldNow()
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(leaving)))
      yield* Deferred.succeed(gate, undefined)
      for (const box of [failureLimiter, stuck.failureLimiter]) {
        assert.strictEqual((yield* Effect.flip(box.verify("192.0.2.1", "bad")))._tag, "Unauthorized")
        assert.strictEqual((yield* Effect.flip(box.verify("192.0.2.1", "bad")))._tag, "TooManyRequests")
      }
    })
  )

  it.effect("verifies tokens that were good recently, whatever else comes from their address", () =>
    Effect.gen(function* () {
      const { asked, failureLimiter } = makeBox({ badTokens: 1 })
      yield* failureLimiter.verify("192.0.2.1", "good1")
      yield* Effect.exit(failureLimiter.verify("192.0.2.1", "bad"))
      assert.strictEqual((yield* Effect.flip(failureLimiter.verify("192.0.2.1", "good2")))._tag, "TooManyRequests")
      assert.strictEqual(yield* failureLimiter.verify("192.0.2.1", "good1"), "account")
      assert.deepStrictEqual(asked, ["good1", "bad", "good1"])
    })
  )

  it.scoped("counts the sockets of an address, an IPv6 network as one, and forgets the least recent one", () =>
    Effect.gen(function* () {
      const { advance } = yield* clock
      const { failureLimiter } = makeBox({ sockets: 2, keyCapacity: 2 })
      const isAdmitted = (address: string) =>
        Effect.match(failureLimiter.admitSocket(address), { onFailure: () => false, onSuccess: () => true })
      const addresses = ["2001:db8::1", "2001:db8:0:0:ffff::2", "2001:db8:0:0:9::", "2001:db8:0:1::1"]
      assert.deepStrictEqual(yield* Effect.forEach(addresses, isAdmitted), [true, true, false, true])
      const mapped = ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"]
      assert.deepStrictEqual(yield* Effect.forEach(mapped, isAdmitted), [true, true, false])
      // The third key pushed the first one out.
      assert.isTrue(yield* isAdmitted("2001:db8::1"))
      yield* advance(59_999)
      assert.isFalse(yield* isAdmitted("192.0.2.7"))
      yield* advance(1)
      assert.isTrue(yield* isAdmitted("192.0.2.7"))
    })
  )
})
