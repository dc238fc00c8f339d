import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope, TestClock } from "effect"
import * as ServerConfig from "../src/config/ServerConfig.ts"
import * as ShutdownBudget from "../src/ShutdownBudget.ts"

class Thing extends Context.Tag("test/Thing")<Thing, string>() {}

/** A layer whose end waits for `gate`, uninterruptibly, and reports when it is over. */
const slow = (gate: Deferred.Deferred<void>, ended: Array<string>) =>
  Layer.scoped(
    Thing,
    Effect.acquireRelease(Effect.succeed("thing"), () =>
      Effect.zipRight(
        Deferred.await(gate),
        Effect.sync(() => void ended.push("inner"))
      )
    )
  )

const sumOf = ({ database, events, log, presence, requests, sockets, traces }: ShutdownBudget.ShutdownBudget) =>
  sockets + requests + events + presence + log + database + traces

/** What the steps besides requests and the last flush take, by whether there are traces. */
const settings = [
  { environment: {}, restMillis: 6000 },
  { environment: { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:4318" }, restMillis: 6500 }
]

describe("ShutdownBudget", () => {
  it.effect.each(settings)(
    "stays below the timeout with every configuration that is accepted, and no further below than it must (%#)",
    ({ environment, restMillis }) =>
      Effect.gen(function* () {
        let accepted = 0
        for (const timeout of [3000, 6099, 6100, 6600, 9000, 10_000, 60_000]) {
          for (const drain of [100, 999, 3000, 4000, 30_000]) {
            const loaded = yield* Effect.either(
              ServerConfig.load({
                ...environment,
                HOME: "/nowhere",
                HAPPIER_SHUTDOWN_TIMEOUT_MS: String(timeout),
                HAPPIER_PRESENCE_DRAIN_TIMEOUT_MS: String(drain)
              })
            )
            // The close of the sockets takes 1 s, their events 2 s, traces half a second, and all other steps 3 s.
            if (loaded._tag === "Left") {
              assert.isAbove(drain + restMillis, timeout, loaded.left.message)
              continue
            }
            accepted += 1
            const { shutdownBudget } = loaded.right.config
            // Half a second is for late timers and the end of the process.
            assert.strictEqual(sumOf(shutdownBudget), timeout - 500)
            assert.isAtLeast(shutdownBudget.requests, 500)
          }
        }
        assert.isAbove(accepted, 10)
      })
  )

  it("stays below the timeout with every split that leaves the other steps their time", () => {
    for (const shutdownTimeoutMillis of [3000, 8499, 8500, 60_000]) {
      for (const socketCloseSpreadMillis of [0, 999, 5000]) {
        for (const socketDrainTimeoutMillis of [0, 500, 20_000]) {
          const terms = {
            shutdownTimeoutMillis,
            socketCloseSpreadMillis,
            socketDrainTimeoutMillis,
            drainTimeoutMillis: 3000,
            isTraced: true
          }
          const fits = ShutdownBudget.leastMillis(terms) <= shutdownTimeoutMillis
          assert.strictEqual(fits, sumOf(ShutdownBudget.make(terms)) <= shutdownTimeoutMillis - 500)
        }
      }
    }
  })

  it.effect("lets a step end by itself, and waits for it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ended: Array<string> = []
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        ShutdownBudget.closeWithin("presence", 1000)(slow(gate, ended)),
        scope
      )
      assert.strictEqual(Context.get(context, Thing), "thing")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("999 millis")
      assert.isTrue((yield* Fiber.poll(closing))._tag === "None")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(closing)
      assert.deepStrictEqual(ended, ["inner"])
    })
  )

  it.effect("goes on to the next step when one does not end, even one that cannot be interrupted", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const ended: Array<string> = []
      const scope = yield* Scope.make()
      yield* Scope.addFinalizer(
        scope,
        Effect.sync(() => void ended.push("next"))
      )
      yield* Layer.buildWithScope(ShutdownBudget.closeWithin("presence", 1000)(slow(gate, ended)), scope)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1050 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(ended, ["next"])
      yield* Deferred.succeed(gate, undefined)
    })
  )
})
