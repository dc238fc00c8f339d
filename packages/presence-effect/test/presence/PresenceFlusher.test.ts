import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { FlushBatch } from "../../src/presence/FlushBatch.ts"
import * as Lane from "../../src/writer/Lane.ts"
import * as PresenceFlusher from "../../src/presence/PresenceFlusher.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import * as PresenceRegistry from "../../src/presence/PresenceRegistry.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import { PresenceStorage } from "../../src/presence/PresenceStorage.ts"
import * as ScriptedStorage from "../support/scriptedStorage.ts"
import { kinds } from "../support/kinds.ts"

const start = 1_800_000_000_000
const sessionOf = (id: string) => ({ kind: "session" as const, accountId: "a", id })
const session = (index: number) => sessionOf(`s${index}`)
const key = session(0)

/** Lets every runnable fiber reach its next suspension. No clock is involved. */
const settle = Effect.yieldNow().pipe(Effect.repeatN(32))

/** Kinds of several replicas. */
const marked: PresenceKinds = { ...kinds, session: { ...kinds.session, servedBy: "servedBy" } }

const makeWorld = (options?: Partial<PresenceFlusher.FlusherOptions>, kindsOfWorld: PresenceKinds = kinds) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const scripted = ScriptedStorage.make()
    for (let index = 0; index < 10; index++) {
      scripted.rows.set("session", { id: `s${index}`, accountId: "a", active: false, lastActiveMillis: 0 })
    }
    const registry = PresenceRegistry.make(kindsOfWorld, {
      acceptanceWindow: "10 minutes",
      persistThreshold: "30 seconds",
      offlineTimeout: "10 minutes",
      disconnectGrace: "15 seconds",
      capacity: 100
    })
    const scope = yield* Scope.make()
    const told: Array<PresenceRegistry.Transition> = []
    const flusher = yield* PresenceFlusher.make({
      interval: "5 seconds",
      drainTimeout: "3 seconds",
      onTransitions: (transitions) => Effect.sync(() => told.push(...transitions)),
      ...options
    }).pipe(
      Effect.provideService(PresenceRegistry.PresenceRegistry, registry),
      Effect.provideService(PresenceStorage, scripted.storage),
      Scope.extend(scope)
    )
    const beat = (index: number, at = start) => registry.beat(session(index), at, at)
    return { scripted, registry, flusher, scope, told, beat, close: Scope.close(scope, Exit.void) }
  })

describe("the tick", () => {
  it.effect("runs first after one interval, and leaves an interval after slow work", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      beat(0)
      scripted.script.push((batch) => Effect.delay(scripted.storage.flush(batch), "7 seconds"))
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(scripted.batches.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.batches.length, 1)
      yield* TestClock.adjust("7 seconds")
      beat(1)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(scripted.rows.get(sessionOf("s1"))?.active, false)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.rows.get(sessionOf("s1"))?.active, true)
      yield* close
    })
  )

  it.effect("writes the mark of a row that has just connected within a second, together with others", () =>
    Effect.gen(function* () {
      const { beat, close, registry, scripted } = yield* makeWorld({}, marked)
      registry.connected(session(1), start)
      yield* TestClock.adjust("500 millis")
      registry.connected(session(2), start + 500)
      yield* TestClock.adjust("499 millis")
      assert.strictEqual(scripted.batches.length, 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.batches.length, 1)
      for (const index of [1, 2]) assert.isTrue(scripted.rows.get(session(index))?.active)
      // Heartbeats wait as long as ever.
      beat(1, start + 31_000)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(scripted.batches.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.batches.length, 2)
      yield* close
    })
  )

  it.effect("leaves connections of rows without a mark to the interval", () =>
    Effect.gen(function* () {
      const { close, registry, scripted } = yield* makeWorld()
      registry.connected(key, start)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(scripted.batches.length, 0)
      yield* close
    })
  )

  it.effect("tries a mark that was not written again with the interval", () =>
    Effect.gen(function* () {
      const { close, registry, scripted } = yield* makeWorld({}, marked)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      registry.connected(key, start)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(scripted.batches.length, 1)
      yield* TestClock.adjust("4999 millis")
      assert.strictEqual(scripted.batches.length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(scripted.batches.length, 2)
      yield* close
    })
  )

  it.effect("never overlaps itself, however it is requested", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, scripted } = yield* makeWorld()
      const latch = yield* Deferred.make<void>()
      beat(0)
      scripted.script.push((batch) => Effect.zipRight(Deferred.await(latch), scripted.storage.flush(batch)))
      yield* TestClock.adjust("5 seconds")
      beat(1)
      const asked = yield* Effect.fork(flusher.tick)
      yield* settle
      assert.strictEqual(scripted.batches.length, 1)
      yield* Deferred.succeed(latch, undefined)
      yield* Fiber.join(asked)
      assert.strictEqual(scripted.rows.get(sessionOf("s1"))?.active, true)
      yield* close
    })
  )

  it.effect("takes back what a store's report leaves out, also when the store calls it a success", () =>
    Effect.gen(function* () {
      const { beat, close, registry, scripted } = yield* makeWorld()
      beat(0)
      beat(1)
      scripted.script.push((batch) => scripted.storage.flush({ entries: batch.entries.slice(1) }))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 0)
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
      yield* close
    })
  )

  it.effect("leaves a row that another transaction holds to the next tick, with its newest value", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      beat(0)
      beat(1)
      scripted.script.push(({ entries: [first, ...others] }) =>
        Effect.succeed({ written: others, superseded: [], missing: [], deferred: [first!], chunkCount: 1 })
      )
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 1)
      assert.strictEqual(registry.trackedCount(), 2, "the row is not taken for missing")
      assert.strictEqual((yield* flusher.status).consecutiveFailures, 0)
      beat(0, start + 1)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(
        scripted.batches.at(-1)?.entries.map(({ id, seenAtMillis }) => [id, seenAtMillis]),
        [["s0", start + 1]]
      )
      assert.strictEqual(registry.pendingCount(), 0)
      yield* close
    })
  )

  it.effect("keeps everything when the flush fails, and writes the newest value with the next", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      for (let index = 0; index < 9; index++) beat(index)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 4))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 5, "what the report calls committed is done")
      assert.deepInclude(yield* flusher.status, { consecutiveFailures: 1, lastFailure: "DatabaseBusy" })
      beat(8, start + 5_000)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 0)
      assert.strictEqual(scripted.batches[1]?.entries.length, 5)
      assert.strictEqual(scripted.rows.get(sessionOf("s8"))?.lastActiveMillis, start + 5_000)
      assert.deepInclude(yield* flusher.status, { consecutiveFailures: 0, lastFlushMillis: start + 10_000 })
      yield* close
    })
  )

  it.effect("survives a defect of the store, keeps everything, and logs the cause", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, registry, scripted } = yield* makeWorld()
      beat(0)
      scripted.script.push(() => Effect.dieMessage("store is broken"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 1)
      assert.match(lines.find(({ code }) => code === "Defect")?.cause ?? "", /store is broken/)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 0)
      yield* close
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
  })

  it.effect("counts as a successful flush when there is nothing to write", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      beat(0)
      registry.forget(key)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* flusher.status).lastFlushMillis, start + 5_000)
      assert.strictEqual(scripted.batches.length, 0)
      yield* close
    })
  )

  it.effect("announces transitions after their commit, and not when it failed", () =>
    Effect.gen(function* () {
      const { beat, close, registry, scripted, told } = yield* makeWorld()
      beat(0)
      yield* TestClock.adjust("5 seconds")
      registry.end(key, start + 1, start + 1)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told, [{ key, lastSeenMillis: start + 1, reason: "ended" }])
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, false)
      yield* close
    })
  )

  it.effect("loses nothing wherever it is interrupted", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      scripted.always = () => Effect.never
      beat(0)
      for (let budget = 10; budget <= 64; budget++) {
        for (let turns = 0; turns <= 6; turns++) {
          const fiber = yield* Effect.fork(flusher.tick.pipe(Effect.withMaxOpsBeforeYield(budget)))
          yield* Effect.repeatN(Effect.yieldNow(), turns)
          yield* Fiber.interrupt(fiber)
          const waiting = registry.takeKey(key)
          assert.strictEqual(waiting.entries.length, 1, `lost: budget ${budget}, turns ${turns}`)
          registry.giveBack(waiting)
        }
      }
      scripted.always = undefined
      yield* close
      assert.strictEqual(registry.pendingCount(), 0)
    })
  )
})

describe("flushKey", () => {
  it.effect("writes one row in the lane asked for, also while a tick is stuck, and leaves the others", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      const latch = yield* Deferred.make<void>()
      beat(0)
      beat(1)
      scripted.script.push((batch) => Effect.zipRight(Deferred.await(latch), scripted.storage.flush(batch)))
      yield* TestClock.adjust("5 seconds")
      registry.end(key, start + 1, start + 1)
      yield* flusher.flushKey(key, Lane.control)
      assert.strictEqual(scripted.batches[1]?.lane, "control")
      assert.deepStrictEqual(
        scripted.batches[1]?.entries.map(({ id, state }) => [id, state]),
        [["s0", "ended"]]
      )
      yield* Deferred.succeed(latch, undefined)
      yield* settle
      assert.deepInclude(scripted.rows.get(sessionOf("s0")), { active: false, lastActiveMillis: start + 1 })
      assert.strictEqual(scripted.rows.get(sessionOf("s1"))?.active, true)
      yield* close
      assert.deepInclude(scripted.rows.get(sessionOf("s0")), { active: false, lastActiveMillis: start + 1 })
    })
  )

  it.effect("says nothing about the ticks, neither when it succeeds nor when it fails", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      beat(0)
      for (let round = 1; round <= 5; round++) {
        scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
        yield* TestClock.adjust("5 seconds")
        registry.end(session(9), start + round, start + round)
        yield* flusher.flushKey(session(9), Lane.control)
        assert.deepInclude(yield* flusher.status, { consecutiveFailures: round, lastFlushMillis: undefined })
      }
      assert.strictEqual(lines.filter(({ level }) => level === "WARN").length, 1)
      yield* TestClock.adjust("5 seconds")
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      registry.end(session(9), start + 9, start + 9)
      yield* flusher.flushKey(session(9), Lane.control)
      assert.deepInclude(yield* flusher.status, { consecutiveFailures: 0 })
      yield* close
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
  })

  it.effect("leaves the row to the next tick when it fails", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      beat(0)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      yield* flusher.flushKey(key, Lane.control)
      assert.strictEqual(registry.pendingCount(), 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(registry.pendingCount(), 0)
      yield* close
    })
  )
})

describe("many rows", () => {
  it.effect("are taken, written and confirmed part by part, in the order of their ids", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const scripted = ScriptedStorage.make()
      const registry = PresenceRegistry.make(kinds, {
        acceptanceWindow: "10 minutes",
        persistThreshold: "30 seconds",
        offlineTimeout: "10 minutes",
        disconnectGrace: "15 seconds",
        capacity: 20_000
      })
      const count = 9_000
      const idOf = (index: number) => `s${String((index * 7_919) % count).padStart(5, "0")}`
      for (let index = 0; index < count; index++) {
        scripted.rows.set("session", { id: idOf(index), accountId: "a", active: false, lastActiveMillis: 0 })
        registry.beat(sessionOf(idOf(index)), start, start)
      }
      const flusher = yield* PresenceFlusher.make({ interval: "5 seconds", drainTimeout: "3 seconds" }).pipe(
        Effect.provideService(PresenceRegistry.PresenceRegistry, registry),
        Effect.provideService(PresenceStorage, scripted.storage)
      )
      yield* flusher.tick
      assert.deepStrictEqual(
        scripted.batches.map(({ entries }) => entries.length),
        [2_000, 2_000, 2_000, 2_000, 1_000]
      )
      const ids = scripted.batches.flatMap(({ entries }) => entries.map(({ id }) => id))
      assert.deepStrictEqual(ids, ids.toSorted())
      assert.strictEqual(registry.pendingCount(), 0)
    }).pipe(Effect.scoped)
  )
})

describe("a row that the database refuses", () => {
  it.effect("is written later, and the rows beside it at once", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      const before = (yield* Metric.value(PresenceMetrics.refused)).count
      beat(0)
      beat(1)
      const cause = ScriptedStorage.failed("revoked", false)
      scripted.script.push((batch) =>
        Effect.map(scripted.storage.flush({ entries: batch.entries.slice(1) }), (report) => ({
          ...report,
          refused: batch.entries.slice(0, 1).map((entry) => ({ ...entry, cause }))
        }))
      )
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(scripted.rows.get(sessionOf("s1"))?.active, true)
      assert.strictEqual(registry.pendingCount(), 0)
      assert.strictEqual(registry.parkedCount(), 1)
      assert.deepInclude(yield* flusher.status, { consecutiveFailures: 0 })
      assert.strictEqual((yield* Metric.value(PresenceMetrics.refused)).count, before + 1)
      assert.match(
        lines.find(({ code }) => code === "PresenceRowRefused")?.message ?? "",
        /refuses session s0, .*revoked/
      )
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, false)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
      assert.strictEqual(registry.parkedCount(), 0)
      yield* close
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
  })
})

describe("the drain", () => {
  it.effect("writes what waits when the scope closes", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      beat(0)
      yield* close
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
    })
  )

  it.effect("writes what came after an end that is under way, once that is written", () =>
    Effect.gen(function* () {
      const { beat, close, flusher, registry, scripted } = yield* makeWorld()
      beat(0)
      registry.end(session(0), start, start)
      scripted.script.push((batch) => Effect.delay(scripted.storage.flush(batch), "1 second"))
      const end = yield* Effect.fork(flusher.flushKey(session(0), Lane.control))
      yield* settle
      beat(0, start + 1)
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(end)
      yield* Fiber.join(closing)
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
    })
  )

  it.effect("writes what waits also when the program that closes the scope was interrupted", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      beat(0)
      const program = yield* Effect.fork(Effect.ensuring(Effect.never, close))
      yield* settle
      yield* Fiber.interrupt(program)
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
    })
  )

  it.effect("lets a tick under way end instead of cutting it short", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      beat(0)
      scripted.script.push((batch) => Effect.delay(scripted.storage.flush(batch), "2 seconds"))
      yield* TestClock.adjust("5 seconds")
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(scripted.batches.filter(({ entries }) => entries.length > 0).length, 2, "no second write")
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
    })
  )

  it.effect("tries again while the database is busy", () =>
    Effect.gen(function* () {
      const { beat, close, registry, scripted } = yield* makeWorld()
      beat(0)
      scripted.always = ScriptedStorage.failAfter(scripted, 0)
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("1 seconds")
      assert.isAbove(scripted.batches.length, 5)
      scripted.always = undefined
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(registry.pendingCount(), 0)
    })
  )

  it.effect("tries again while another transaction holds a row", () =>
    Effect.gen(function* () {
      const { beat, close, registry, scripted } = yield* makeWorld()
      beat(0)
      const held = ({ entries }: FlushBatch) =>
        Effect.succeed({ written: [], superseded: [], missing: [], deferred: entries, chunkCount: 1 })
      scripted.script.push(held, held)
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(scripted.batches.length, 3)
      assert.strictEqual(registry.pendingCount(), 0)
    })
  )

  it.effect("gives up after its time on a stuck store, and says how many rows stayed pending", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      for (let index = 0; index < 9; index++) beat(index)
      scripted.always = () => Effect.never
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("2999 millis")
      assert.isNull(closing.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      const line = lines.find(({ code }) => code === "PresenceUndrained")
      assert.strictEqual(line?.message, "9 presence rows stayed pending at shutdown")
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
  })

  it.effect("does not wait for a writer that is closed", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      beat(0)
      scripted.always = ScriptedStorage.failAfter(scripted, 0, ScriptedStorage.failed("closed", false))
      yield* close
      assert.strictEqual(scripted.batches.length, 1)
    })
  )
})

describe("logs and metrics", () => {
  it.effect("warn once a minute while flushes fail, with what was written, and say when it is over", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      for (let index = 0; index < 9; index++) beat(index)
      scripted.always = ScriptedStorage.failAfter(scripted, 0)
      yield* TestClock.adjust("90 seconds")
      const warnings = lines.filter(({ level }) => level === "WARN")
      assert.strictEqual(warnings.length, 2)
      assert.match(warnings[0]?.message ?? "", /^Flushed 0\/9 session updates: it was DatabaseBusy/)
      assert.match(warnings[1]?.message ?? "", /failed 13 times in a row/)
      assert.strictEqual(warnings[0]?.code, "DatabaseBusy")
      scripted.always = undefined
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(lines.at(-1)?.message, "presence is written again after 18 failed flushes")
      assert.isTrue(lines.some(({ level, message }) => level === "DEBUG" && message === "Flushed 9/9 session updates"))
      yield* close
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)), Logger.withMinimumLogLevel(LogLevel.Debug))
  })

  it.effect("do not fall silent after the clock was set back", () => {
    const lines: Array<ScriptedStorage.Line> = []
    return Effect.gen(function* () {
      const { beat, close, flusher, scripted } = yield* makeWorld()
      beat(0)
      scripted.always = ScriptedStorage.failAfter(scripted, 0)
      yield* flusher.tick
      yield* TestClock.setTime(start - 3_600_000)
      yield* flusher.tick
      assert.strictEqual(lines.filter(({ level }) => level === "WARN").length, 2)
      scripted.always = undefined
      yield* close
    }).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
  })

  it.effect("are published at the tick, not at the beat", () =>
    Effect.gen(function* () {
      const { beat, close, scripted } = yield* makeWorld()
      const before = (yield* Metric.value(PresenceMetrics.coalesced)).count
      beat(0)
      for (let index = 0; index < 100; index++) beat(0, start + index)
      assert.strictEqual((yield* Metric.value(PresenceMetrics.coalesced)).count, before)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Metric.value(PresenceMetrics.coalesced)).count, before + 100)
      assert.strictEqual((yield* Metric.value(PresenceMetrics.tracked("session"))).value, 1)
      assert.strictEqual((yield* Metric.value(PresenceMetrics.pending("session"))).value, 1)
      assert.strictEqual((yield* Metric.value(PresenceMetrics.oldestPendingSeconds)).value, 5)
      assert.isAbove((yield* Metric.value(PresenceMetrics.flushFailures("DatabaseBusy"))).count, 0)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Metric.value(PresenceMetrics.oldestPendingSeconds)).value, 0)
      yield* close
    })
  )
})

describe("a program that is interrupted", () => {
  /** Runs the layer in a fiber of its own, as a program does that ends by a signal. */
  const launch = Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const scripted = ScriptedStorage.make()
    scripted.rows.set("session", { id: "s0", accountId: "a", active: false, lastActiveMillis: 0 })
    const registry = PresenceRegistry.make(kinds, {
      acceptanceWindow: "10 minutes",
      persistThreshold: "30 seconds",
      offlineTimeout: "10 minutes",
      disconnectGrace: "15 seconds",
      capacity: 100
    })
    const flusher = PresenceFlusher.make({ interval: "5 seconds", drainTimeout: "3 seconds" })
    const layer = Layer.scoped(PresenceFlusher.PresenceFlusher, flusher).pipe(
      Layer.provide(Layer.succeed(PresenceRegistry.PresenceRegistry, registry)),
      Layer.provide(Layer.succeed(PresenceStorage, scripted.storage))
    )
    const program = yield* Effect.fork(Layer.launch(layer))
    yield* settle
    registry.beat(key, start, start)
    return { program, registry, scripted }
  })

  it.effect("ends when its last flush has ended", () =>
    Effect.gen(function* () {
      const { program, registry, scripted } = yield* launch
      scripted.script.push((batch) => Effect.delay(scripted.storage.flush(batch), "2 seconds"))
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust("1999 millis")
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      assert.strictEqual(scripted.rows.get(sessionOf("s0"))?.active, true)
      assert.strictEqual(registry.pendingCount(), 0)
    })
  )

  it.effect("ends without its last flush when the store is stuck, after the time of the drain", () =>
    Effect.gen(function* () {
      const { program, registry, scripted } = yield* launch
      scripted.always = () => Effect.never
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust("2999 millis")
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      assert.strictEqual(scripted.batches.length, 1)
      assert.strictEqual(registry.pendingCount(), 1)
    })
  )
})
