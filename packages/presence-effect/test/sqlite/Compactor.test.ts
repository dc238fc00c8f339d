import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as TestClock from "effect/TestClock"
import * as Compactor from "../../src/sqlite/Compactor.ts"
import * as SqliteMetrics from "../../src/sqlite/SqliteMetrics.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as Lane from "../../src/writer/Lane.ts"
import type { Space } from "../../src/writer/SqliteConnection.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as Write from "../../src/writer/Write.ts"

const full: Space = { pageBytes: 4_096, pageCount: 20_000, freePages: 10_000, isShrinkable: true }

const house = (space: Partial<Space> = {}, options: Partial<Compactor.CompactorOptions> = {}) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const engine = yield* SimulatedConnection.make({ space: { ...full, ...space }, framesPerStatement: 10_000 })
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ message }) => void lines.push(String(message)))
    )
    const layer = Compactor.layer(options).pipe(
      Layer.provideMerge(SqliteWriter.layer()),
      Layer.provideMerge(engine.layer),
      Layer.provideMerge(logger)
    )
    const context = yield* Layer.build(layer)
    const writer = yield* Effect.provide(SqliteWriter.SqliteWriter, context)
    const freePages = Effect.map(Effect.orDie(engine.connection.space), (now) => now.freePages)
    return { engine, lines, writer, freePages }
  })

describe("Compactor", () => {
  it.scoped("does not start with a lane the writer does not have", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(house({}, { lane: Lane.make("housekeeping") }))
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "no lane housekeeping, only control, data")
    })
  )

  it.scoped("gives free pages back in steps with pauses, and leaves some for new rows", () =>
    Effect.gen(function* () {
      const before = yield* Metric.value(SqliteMetrics.compactedBytes)
      const { freePages, lines } = yield* house({}, { logBytesMax: Number.MAX_SAFE_INTEGER })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* freePages, 10_000 - 64)
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(yield* freePages, 10_000 - 128)
      yield* TestClock.adjust("20 seconds")
      const left = yield* freePages
      assert.isAtMost(left, 1_024)
      assert.isAbove(left, 1_024 - 64)
      const after = yield* Metric.value(SqliteMetrics.compactedBytes)
      assert.strictEqual(after.count - before.count, (10_000 - left) * 4_096)
      assert.strictEqual((yield* Metric.value(SqliteMetrics.freeBytes)).value, left * 4_096)
      assert.match(lines.join(), /^40960000 bytes of the database file are free, and are given back/)
    })
  )

  it.scoped.each([
    ["few bytes", { pageCount: 5_000, freePages: 4_000 }],
    ["a small share", { pageCount: 100_000, freePages: 20_000 }]
  ] as const)("leaves a file alone of which %s are free", ([, space]) =>
    Effect.gen(function* () {
      const { engine, freePages } = yield* house(space)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* freePages, space.freePages)
      assert.strictEqual(engine.callCount(), 0)
    })
  )

  it.scoped("says once that a file made without incremental vacuum keeps its size", () =>
    Effect.gen(function* () {
      const { freePages, lines } = yield* house({ isShrinkable: false })
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* freePages, 10_000)
      assert.lengthOf(lines, 1)
      assert.include(lines[0], "made without incremental vacuum")
    })
  )

  it.scoped("waits while the writer is held or has waiters", () =>
    Effect.gen(function* () {
      const { engine, freePages, writer } = yield* house()
      engine.stall()
      const writing = yield* Effect.fork(writer.write(Lane.presence, Write.statement("UPDATE")))
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* freePages, 10_000)
      engine.resume()
      yield* Effect.exit(Fiber.join(writing))
      yield* TestClock.adjust("1 millis")
      yield* engine.connection.copyLog
      yield* TestClock.adjust("1 second")
      assert.isBelow(yield* freePages, 10_000)
    })
  )

  it.scoped("waits for a checkpoint while much of the log is not copied", () =>
    Effect.gen(function* () {
      const { engine, freePages, writer } = yield* house()
      yield* writer.write(Lane.data, Write.statement("INSERT"))
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(yield* freePages, 10_000)
      yield* engine.connection.copyLog
      yield* TestClock.adjust("1 second")
      assert.isBelow(yield* freePages, 10_000)
    })
  )

  it.scoped("copies the log at the end, unless another tool does", () =>
    Effect.gen(function* () {
      for (const isCheckpointed of [true, false]) {
        const { engine } = yield* house({}, { isCheckpointed, stepPages: 10_000 })
        yield* TestClock.adjust("10 seconds")
        const { checkpointedFrames } = yield* engine.connection.logState
        assert.strictEqual(checkpointedFrames, isCheckpointed ? 10_000 : 0)
      }
    })
  )

  it.scoped("goes on with the next look after a step that failed", () =>
    Effect.gen(function* () {
      const { engine, freePages, lines } = yield* house()
      for (let look = 0; look < 3; look++) {
        engine.failNext({ code: "SQLITE_FULL", detail: "full", phase: "statement" })
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* freePages, 10_000)
      }
      yield* TestClock.adjust("10 seconds")
      assert.isBelow(yield* freePages, 10_000)
      assert.lengthOf(lines, 1, "told of once")
    })
  )
})
