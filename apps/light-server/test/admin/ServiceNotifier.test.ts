import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Ref, Scope, TestClock } from "effect"
import * as ServiceNotifier from "../../src/admin/ServiceNotifier.ts"
import { Readiness } from "../../src/health/Readiness.ts"
import { HttpListener } from "../../src/http/HttpListener.ts"

/** A notifier beside a writer that is stuck or not, and what it sent. */
const stand = (environment: ServiceNotifier.Options["environment"]) =>
  Effect.gen(function* () {
    const sent: Array<string> = []
    const code = yield* Ref.make("OK")
    const readiness = Layer.succeed(Readiness, {
      report: Effect.map(Ref.get(code), (code) => ({
        isReady: code === "OK",
        checks: [{ name: "writer", ok: code === "OK", code, detail: "", since: 0 }]
      })),
      untilUnusable: Effect.never
    })
    const listener = Layer.succeed(HttpListener, { port: 1, url: "http://127.0.0.1:1" })
    const send = (message: string) => Effect.sync(() => void sent.push(message))
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(
      ServiceNotifier.layer({ environment, send }).pipe(Layer.provide(Layer.merge(readiness, listener))),
      scope
    )
    return { sent, code, close: Scope.close(scope, Exit.void) }
  })

const fed = (sent: ReadonlyArray<string>) => sent.filter((message) => message === "WATCHDOG=1").length

describe("ServiceNotifier", () => {
  it.scoped("says that the server is ready, and that it ends", () =>
    Effect.gen(function* () {
      const { close, sent } = yield* stand({ NOTIFY_SOCKET: "/run/notify" })
      assert.deepStrictEqual(sent, ["READY=1\nSTATUS=serving at http://127.0.0.1:1"])
      yield* TestClock.adjust("10 minutes")
      yield* close
      assert.deepStrictEqual(sent.slice(1), ["STOPPING=1"])
    })
  )

  it.scoped("feeds the watchdog three times per deadline, but not while something holds the writer", () =>
    Effect.gen(function* () {
      const { code, sent } = yield* stand({ NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "60000000" })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(fed(sent), 3)
      yield* Ref.set(code, "WriterStuck")
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(fed(sent), 3)
      // Another failure is no reason for a restart.
      yield* Ref.set(code, "DiskFull")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(fed(sent), 6)
    })
  )

  it.scoped("is silent without a service manager", () =>
    Effect.gen(function* () {
      const { close, sent } = yield* stand({ WATCHDOG_USEC: "60000000" })
      yield* TestClock.adjust("1 minute")
      yield* close
      assert.deepStrictEqual(sent, [])
    })
  )
})
