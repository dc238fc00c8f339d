import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Lane from "../../src/writer/Lane.ts"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import * as SqliteThread from "../../src/node/SqliteThread.ts"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import * as SqliteWriter from "../../src/writer/SqliteWriter.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import * as WalKeeper from "../../src/sqlite/WalKeeper.ts"
import * as Write from "../../src/writer/Write.ts"
import { temporaryDatabase } from "../support/temporaryFile.ts"

const mebibytes = 1024 * 1024
const pages = Write.statement("INSERT")

/** A writer whose every statement writes 1 000 pages, and a keeper that looks when told. */
const house = (options: Partial<WalKeeper.WalKeeperOptions> = {}) =>
  Effect.gen(function* () {
    const warnings: Array<string> = []
    const engine = yield* SimulatedConnection.make({ framesPerStatement: 1_000 })
    const logger = Logger.replace(
      Logger.defaultLogger,
      Logger.make(({ logLevel, message }) => {
        if (logLevel._tag === "Warning") warnings.push(String(message))
      })
    )
    const layer = WalKeeper.layer({ lookInterval: "1 hour", ...options }).pipe(
      Layer.provideMerge(SqliteWriter.layer()),
      Layer.provideMerge(engine.layer),
      Layer.provideMerge(logger)
    )
    const context = yield* Layer.build(layer)
    const run = <A, E>(self: Effect.Effect<A, E, WalKeeper.WalKeeper | SqliteWriter.SqliteWriter | SqliteConnection>) =>
      Effect.provide(self, context)
    const look = run(Effect.flatMap(WalKeeper.WalKeeper, (keeper) => keeper.look))
    const status = run(Effect.flatMap(WalKeeper.WalKeeper, (keeper) => keeper.status))
    const write = run(Effect.flatMap(SqliteWriter.SqliteWriter, (writer) => writer.write(Lane.data, pages)))
    const state = engine.connection.logState
    return { engine, warnings, look, status, write, state }
  })

describe("WalKeeper", () => {
  it.scoped("copies the log once enough of it waits, so that the next write starts it anew", () =>
    Effect.gen(function* () {
      const { look, state, write } = yield* house({ checkpointBytes: 4 * mebibytes })
      yield* write
      yield* look
      assert.deepInclude(yield* state, { logFrames: 1_000, checkpointedFrames: 0 })
      yield* write
      yield* look
      assert.deepInclude(yield* state, { logFrames: 2_000, checkpointedFrames: 2_000 })
      yield* write
      assert.deepInclude(yield* state, { logFrames: 1_000 })
    })
  )

  it.scoped("copies even a few pages after the interval, and nothing when nothing waits", () =>
    Effect.gen(function* () {
      const { engine, look, state, write } = yield* house({ checkpointBytes: 100 * mebibytes })
      yield* write
      yield* TestClock.adjust("59 seconds")
      yield* look
      assert.deepInclude(yield* state, { checkpointedFrames: 0 })
      yield* TestClock.adjust("1 second")
      yield* look
      assert.deepInclude(yield* state, { checkpointedFrames: 1_000 })
      const calls = engine.callCount()
      yield* TestClock.adjust("2 minutes")
      yield* look
      assert.strictEqual(engine.callCount(), calls)
    })
  )

  it.scoped("looks by itself", () =>
    Effect.gen(function* () {
      const { state, write } = yield* house({ lookInterval: "500 millis", checkpointBytes: 1 })
      yield* write
      yield* TestClock.adjust("500 millis")
      assert.deepInclude(yield* state, { checkpointedFrames: 1_000 })
    })
  )

  it.scoped("reports a pinned reader once, never waits for it, and says when it is gone", () =>
    Effect.gen(function* () {
      const { engine, look, status, warnings, write } = yield* house({ logBytesMax: 10 * mebibytes })
      engine.pinReader()
      for (let count = 0; count < 5; count++) {
        yield* write
        yield* look
      }
      assert.isDefined((yield* status).pinnedSinceMillis)
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0], "a reader pins the write-ahead log")
      engine.releaseReader()
      yield* look
      assert.isUndefined((yield* status).pinnedSinceMillis)
    })
  )

  it.scoped("reports a reader that lets most of a long log be copied once, not each time it looks", () =>
    Effect.gen(function* () {
      const { engine, look, status, warnings, write } = yield* house({
        checkpointBytes: 8 * mebibytes,
        logBytesMax: 10 * mebibytes
      })
      yield* Effect.repeatN(write, 2)
      yield* look
      engine.pinReader()
      yield* write
      for (let round = 0; round < 3; round++) {
        yield* TestClock.adjust("1 minute")
        yield* look
        yield* look
        assert.isDefined((yield* status).pinnedSinceMillis)
      }
      assert.strictEqual(warnings.length, 1)
      engine.releaseReader()
      yield* engine.connection.copyLog
      yield* look
      assert.isUndefined((yield* status).pinnedSinceMillis, "somebody else copied the rest")
    })
  )

  it.scopedLive(
    "reports readers of which each begins before the last one ends, once, and says when they are gone",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase("CREATE TABLE T (b BLOB)")
        const said: Array<string> = []
        const logger = Logger.replace(
          Logger.defaultLogger,
          Logger.make(({ message }) => said.push(String(message)))
        )
        const context = yield* Layer.build(
          WalKeeper.layer({ lookInterval: "1 hour", checkpointBytes: 1, logBytesMax: mebibytes }).pipe(
            Layer.provideMerge(SqliteWriter.layer()),
            Layer.provideMerge(SqliteInProcess.layer({ filename })),
            Layer.provideMerge(logger)
          )
        )
        const read = () => {
          const reader = new Database(filename, { readonly: true })
          reader.exec("BEGIN")
          reader.prepare("SELECT count(*) FROM T").get()
          return reader
        }
        yield* Effect.gen(function* () {
          const writer = yield* SqliteWriter.SqliteWriter
          const keeper = yield* WalKeeper.WalKeeper
          const write = writer.write(Lane.data, Write.statement("INSERT INTO T VALUES (zeroblob(400000))"))
          let reader = read()
          for (let round = 0; round < 8; round++) {
            yield* write
            const next = read()
            reader.close()
            reader = next
            // Everything is copied each time, and the second look finds nothing to do.
            yield* keeper.look
            yield* keeper.look
          }
          assert.isDefined((yield* keeper.status).pinnedSinceMillis)
          assert.strictEqual(said.filter((line) => line.includes("a reader pins the write-ahead log")).length, 1)
          reader.close()
          yield* write
          yield* keeper.look
          assert.isUndefined((yield* keeper.status).pinnedSinceMillis)
          assert.include(said, "the write-ahead log is no longer pinned")
        }).pipe(Effect.provide(context))
      })
  )

  it.scoped("goes on copying after the clock was set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(10 * 3_600_000)
      const { look, state, write } = yield* house({ checkpointBytes: 100 * mebibytes })
      yield* TestClock.setTime(3_600_000)
      yield* write
      yield* TestClock.adjust("1 minute")
      yield* look
      assert.deepInclude(yield* state, { checkpointedFrames: 1_000 })
    })
  )

  it.scoped("does not start with a lane the writer does not have", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(house({ lane: Lane.make("housekeeping") }))
      assert.include(String(Exit.isFailure(exit) ? exit.cause : ""), "no lane housekeeping, only control, data")
    })
  )

  it.scoped("empties a long log only when nothing is committed for a while", () =>
    Effect.gen(function* () {
      const { look, status, write } = yield* house({ idleAfter: "2 minutes" })
      yield* write
      yield* write
      yield* look
      yield* TestClock.adjust("119 seconds")
      yield* look
      assert.isAbove((yield* status).logBytes, 7 * mebibytes)
      yield* TestClock.adjust("1 second")
      yield* look
      assert.strictEqual((yield* status).logBytes, 0)
    })
  )

  it.effect("empties the log when its scope closes, and gives up in time on a stuck engine", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { state, write } = yield* Scope.extend(house(), scope)
      yield* write
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* state, { logFrames: 0 })

      const endedScope = yield* Scope.make()
      const ended = yield* Scope.extend(house(), endedScope)
      yield* ended.write
      const program = yield* Effect.fork(Effect.ensuring(Effect.never, Scope.close(endedScope, Exit.void)))
      yield* Effect.repeatN(Effect.yieldNow(), 32)
      yield* Fiber.interrupt(program)
      assert.deepInclude(yield* ended.state, { logFrames: 0 }, "also when its program was interrupted")

      const stuckScope = yield* Scope.make()
      const stuck = yield* Scope.extend(house({ drainTimeout: "2 seconds" }), stuckScope)
      stuck.engine.stall()
      yield* Effect.fork(Effect.ignore(stuck.write))
      yield* Effect.repeatN(Effect.yieldNow(), 32)
      const closing = yield* Effect.fork(Scope.close(stuckScope, Exit.void))
      yield* TestClock.adjust("12 seconds")
      yield* Fiber.join(closing)
    })
  )

  it.scopedLive("keeps the log of a real file below its limit while a writer writes without a pause", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY, b BLOB)")
      const context = yield* Layer.build(
        WalKeeper.layer({ lookInterval: "10 millis" }).pipe(
          Layer.provideMerge(SqliteWriter.layer()),
          Layer.provideMerge(SqliteThread.layer({ filename }))
        )
      )
      let largest = 0
      let written = 0
      yield* Effect.gen(function* () {
        const writer = yield* SqliteWriter.SqliteWriter
        const connection = yield* SqliteConnection
        // 200 rows of one page each, 200 times: 160 MB go through the log.
        const tick = Write.statement(
          `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
           INSERT OR REPLACE INTO T SELECT i, randomblob(4000) FROM n`
        )
        for (let count = 0; count < 200; count++) {
          yield* writer.write(Lane.presence, tick)
          const { logBytes } = yield* connection.identity
          largest = Math.max(largest, logBytes)
          written += 200 * 4_096
        }
      }).pipe(Effect.provide(context))
      assert.isAbove(written, 150 * mebibytes)
      assert.isBelow(largest, 64 * mebibytes)
      const check = new Database(filename, { readonly: true })
      assert.strictEqual(check.pragma("quick_check", { simple: true }), "ok")
      check.close()
    })
  )
})

describe("a log that is written while it is copied", () => {
  /** A commit of 1 000 pages comes in the middle of each copy but those beyond `busyCopies`. */
  const busy = (busyCopies: number, options: Partial<WalKeeper.WalKeeperOptions> = {}) =>
    Effect.gen(function* () {
      const { connection } = yield* SimulatedConnection.make()
      let copyCount = 0
      let finishCount = 0
      let logFrames = 1_000
      let checkpointedFrames = 0
      const state = () => ({ isBusy: false, frameBytes: 4_120, logFrames, checkpointedFrames })
      const observed: SqliteConnection["Type"] = {
        ...connection,
        logState: Effect.sync(state),
        copyLog: Effect.sync(() => {
          checkpointedFrames = logFrames
          const copied = state()
          if (++copyCount <= busyCopies) logFrames += 1_000
          return copied
        }),
        checkpoint: () =>
          Effect.sync(() => {
            finishCount++
            checkpointedFrames = logFrames
            return state()
          })
      }
      const layer = WalKeeper.layer({ lookInterval: "1 hour", checkpointBytes: 1, copyPause: "10 millis", ...options })
      const context = yield* Layer.build(
        layer.pipe(
          Layer.provideMerge(SqliteWriter.layer()),
          Layer.provideMerge(Layer.succeed(SqliteConnection, observed))
        )
      )
      const look = yield* Effect.fork(
        Effect.provide(
          Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look),
          context
        )
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(look)
      return { copyCount, finishCount, pendingFrames: logFrames - checkpointedFrames }
    })

  it.scoped("is copied until nothing came meanwhile, and no write waits", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* busy(3), { copyCount: 4, finishCount: 0, pendingFrames: 0 })
    })
  )

  it.scoped("is copied once when the next commit begins it anew", () =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make({ framesPerStatement: 1_000 })
      let copyCount = 0
      const commit = engine.connection.run([pages.statements], "process-crash")
      const copyLog = Effect.tap(engine.connection.copyLog, () =>
        Effect.zipRight(
          Effect.sync(() => copyCount++),
          commit
        )
      )
      const context = yield* Layer.build(
        WalKeeper.layer({ lookInterval: "1 hour", checkpointBytes: 1 }).pipe(
          Layer.provideMerge(SqliteWriter.layer()),
          Layer.provideMerge(Layer.succeed(SqliteConnection, { ...engine.connection, copyLog }))
        )
      )
      yield* Effect.repeatN(commit, 2)
      yield* Effect.provide(
        Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look),
        context
      )
      assert.strictEqual(copyCount, 1)
      assert.deepInclude(yield* engine.connection.logState, { logFrames: 1_000 })
    })
  )

  it.scoped("is left for the next look while it is small", () =>
    Effect.gen(function* () {
      const found = yield* busy(100, { copyAttempts: 5 })
      assert.deepStrictEqual(found, { copyCount: 5, finishCount: 0, pendingFrames: 1_000 })
    })
  )

  it.scoped("is finished by the writer once it is large", () =>
    Effect.gen(function* () {
      const found = yield* busy(100, { copyAttempts: 5, finishBytes: 20 * mebibytes })
      assert.deepStrictEqual(found, { copyCount: 5, finishCount: 1, pendingFrames: 0 })
      const early = yield* busy(100, { copyAttempts: 5, logBytesMax: 16 * mebibytes })
      assert.deepStrictEqual(early, { copyCount: 2, finishCount: 1, pendingFrames: 0 }, "at half of its limit, at once")
    })
  )
})

describe("a program that is interrupted", () => {
  /** Runs the layer in a fiber of its own, as a program does that ends by a signal; the log holds a write. */
  const launch = (copyLog: (engine: SimulatedConnection.SimulatedConnection) => SqliteConnection["Type"]["copyLog"]) =>
    Effect.gen(function* () {
      const engine = yield* SimulatedConnection.make()
      yield* engine.connection.run([pages.statements], "process-crash")
      const connection = { ...engine.connection, copyLog: copyLog(engine) }
      const layer = WalKeeper.layer({ lookInterval: "1 hour", drainTimeout: "2 seconds" }).pipe(
        Layer.provide(SqliteWriter.layer()),
        Layer.provide(Layer.succeed(SqliteConnection, connection))
      )
      const program = yield* Effect.fork(Layer.launch(layer))
      yield* Effect.repeatN(Effect.yieldNow(), 32)
      assert.deepInclude(yield* engine.connection.logState, { logFrames: 1 })
      return { engine, program }
    })

  it.effect("ends when the log is copied and empty", () =>
    Effect.gen(function* () {
      const { engine, program } = yield* launch(({ connection }) => Effect.delay(connection.copyLog, "1 second"))
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust("999 millis")
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      assert.deepInclude(yield* engine.connection.logState, { logFrames: 0 })
    })
  )

  it.effect("ends without copying the log when the disk is stuck, after the time of the drain", () =>
    Effect.gen(function* () {
      const { engine, program } = yield* launch(() => Effect.never)
      yield* Fiber.interruptFork(program)
      yield* TestClock.adjust("1999 millis")
      assert.isNull(program.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(program)))
      assert.deepInclude(yield* engine.connection.logState, { logFrames: 1 })
    })
  )
})
