import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, TestClock } from "effect"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as Readiness from "../../src/health/Readiness.ts"
import * as ServerProbe from "./ServerProbe.ts"

const layer = (probe: { readonly layer: Effect.Effect.Success<ReturnType<typeof ServerProbe.make>>["layer"] }) =>
  Readiness.layer({
    databaseFile: "/tmp/none.sqlite",
    flushInterval: "5 seconds",
    diskFreeBytes: Effect.succeed(1e12)
  }).pipe(Layer.provideMerge(HttpApp.layer()), Layer.provideMerge(probe.layer))

const failingCodes = Effect.flatMap(Readiness.Readiness, ({ report }) =>
  Effect.map(report, ({ checks }) => checks.filter(({ ok }) => !ok).map(({ code }) => code))
)

const tick = TestClock.adjust("2 seconds")

describe("Readiness", () => {
  it.scoped("commits a heartbeat when nothing else was committed for one flush interval", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        yield* tick
        yield* tick
        assert.deepStrictEqual(yield* Ref.get(probe.written), [])
        yield* tick
        assert.deepStrictEqual(yield* Ref.get(probe.written), ["maintenance: INSERT"])
        for (let count = 0; count < 15; count++) yield* tick
        assert.strictEqual((yield* Ref.get(probe.written)).length, 6)
        assert.deepStrictEqual(yield* failingCodes, [])
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("takes and gives back the lock where there is no table for the heartbeat", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: false })
      yield* Effect.gen(function* () {
        for (let count = 0; count < 3; count++) yield* tick
        assert.deepStrictEqual(yield* Ref.get(probe.written), ["maintenance: UPDATE"])
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("changes within two ticks of the first failure, and within two of the recovery", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        yield* tick
        yield* Ref.set(probe.accepts, false)
        yield* tick
        yield* tick
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseFull"])
        for (let count = 0; count < 5; count++) yield* tick
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseFull"])
        yield* Ref.set(probe.accepts, true)
        yield* tick
        yield* tick
        assert.deepStrictEqual(yield* failingCodes, [])
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("says since when a check says what it says", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const { report } = yield* Readiness.Readiness
        const since = Effect.map(report, ({ checks }) => checks.find(({ name }) => name === "commit")?.since)
        assert.strictEqual(yield* since, 0)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(yield* since, 0)
        yield* Ref.update(probe.status, (status) => ({
          ...status,
          lastFailure: { tag: "DatabaseIo" as const, atMillis: 1000 }
        }))
        assert.strictEqual(yield* since, 1000)
        yield* TestClock.adjust("500 millis")
        assert.strictEqual(yield* since, 1000)
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("ends the server within a tick when the database file is another one", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const { untilReplaced } = yield* Readiness.Readiness
        const ending = yield* Effect.fork(Effect.flip(untilReplaced))
        yield* tick
        assert.isNull(ending.unsafePoll())
        yield* Ref.set(probe.identity, "1:3")
        yield* tick
        assert.strictEqual((yield* Fiber.join(ending)).path, "/tmp/none.sqlite")
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseMoved"])
      }).pipe(Effect.provide(layer(probe)))
    })
  )
})
