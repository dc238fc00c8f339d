import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Metric, Ref, Schema, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
import { DatabaseReader, ReadFailed } from "../../src/database/DatabaseReader.ts"
import * as HttpApp from "../../src/http/HttpApp.ts"
import * as Readiness from "../../src/health/Readiness.ts"
import * as ServerMetrics from "../../src/health/ServerMetrics.ts"
import * as ServerProbe from "./ServerProbe.ts"

const layer = (probe: { readonly layer: Effect.Effect.Success<ReturnType<typeof ServerProbe.make>>["layer"] }) =>
  Readiness.layer({
    flushInterval: "5 seconds",
    diskReserveBytes: 1e9,
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

  it.scoped("reports since when the result of a check is unchanged", () =>
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

  it.scoped.each([
    ["database", "/tmp/none.sqlite"],
    ["log", "/tmp/none.sqlite-wal"]
  ] as const)("ends the server within a tick when the %s is another file", ([part, path]) =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const { untilUnusable } = yield* Readiness.Readiness
        const ending = yield* Effect.fork(Effect.flip(untilUnusable))
        yield* tick
        assert.isNull(ending.unsafePoll())
        yield* Ref.update(probe.identity, (files) => ({ ...files, [part]: "1:3" }))
        yield* tick
        assert.deepInclude(yield* Fiber.join(ending), { _tag: "DatabaseReplaced", path })
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseMoved"])
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  const stop = (probe: Effect.Effect.Success<ReturnType<typeof ServerProbe.make>>, code: string) =>
    Effect.gen(function* () {
      const { untilUnusable } = yield* Readiness.Readiness
      const ending = yield* Effect.fork(Effect.flip(untilUnusable))
      const fault = SqliteFault.make({ code, detail: "said the engine", phase: "queued", isFinal: true })
      yield* Deferred.fail(probe.stopped, fault)
      yield* Effect.repeatN(Effect.yieldNow(), 32)
      return ending
    })

  it.scoped.each([
    ["MOVED", "DatabaseReplaced", "DatabaseMoved"],
    ["GONE", "DatabaseGivenUp", "ConnectionGone"],
    ["SQLITE_IOERR_FSYNC", "DatabaseGivenUp", "ConnectionGone"]
  ] as const)("ends the server at once when the connection stops with %s", ([code, tag, check]) =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const ending = yield* stop(probe, code)
        assert.strictEqual((yield* Fiber.join(ending))._tag, tag)
        assert.deepStrictEqual(yield* failingCodes, [check])
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("stays, unready, when the file is damaged: a new process would not repair it", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const ending = yield* stop(probe, "SQLITE_CORRUPT")
        yield* tick
        assert.isNull(ending.unsafePoll())
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseCorrupt"])
        const { checks } = yield* Effect.flatMap(Readiness.Readiness, ({ report }) => report)
        assert.include(checks.find(({ name }) => name === "file")?.detail, "restore a backup")
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("is unready and writes no more once a read has found damage", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const { rows } = yield* DatabaseReader
        const read = Effect.exit(rows(Schema.Unknown, "SELECT 1"))
        yield* Ref.set(probe.readFailure, new ReadFailed({ code: "SQLITE_BUSY", detail: "locked" }))
        yield* read
        yield* Effect.repeatN(Effect.yieldNow(), 32)
        assert.deepStrictEqual(yield* failingCodes, [])
        yield* Ref.set(probe.readFailure, new ReadFailed({ code: "SQLITE_CORRUPT", detail: "malformed" }))
        yield* read
        yield* Effect.repeatN(Effect.yieldNow(), 32)
        assert.deepStrictEqual(yield* failingCodes, ["DatabaseCorrupt"])
        assert.deepInclude(yield* Effect.flip(Deferred.await(probe.stopped)), { code: "SQLITE_CORRUPT" })
      }).pipe(Effect.provide(layer(probe)))
    })
  )

  it.scoped("measures how long the engine has owed an answer", () =>
    Effect.gen(function* () {
      const probe = yield* ServerProbe.make({ heartbeatTable: true })
      yield* Effect.gen(function* () {
        const holding = Effect.map(Metric.value(ServerMetrics.writerHoldingSeconds), ({ value }) => value)
        yield* Ref.update(probe.status, (status) => ({
          ...status,
          holder: { lane: Lane.control, sinceMillis: 0 }
        }))
        yield* tick
        yield* tick
        assert.strictEqual(yield* holding, 4)
        assert.deepStrictEqual(yield* failingCodes, ["WriterStuck"])
        yield* Ref.update(probe.status, (status) => ({ ...status, holder: undefined }))
        yield* tick
        assert.strictEqual(yield* holding, 0)
      }).pipe(Effect.provide(layer(probe)))
    })
  )
})
