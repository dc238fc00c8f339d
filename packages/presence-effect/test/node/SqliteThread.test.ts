import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as fs from "node:fs"
import * as os from "node:os"
import type { Worker } from "node:worker_threads"
import * as SqliteThread from "../../src/node/SqliteThread.ts"
import type { EngineFault } from "../../src/writer/SqliteConnection.ts"
import * as SqliteConnectionContract from "../../src/testing/SqliteConnectionContract.ts"
import { readRows, temporaryDatabase } from "../support/temporaryFile.ts"

const quiet = Logger.remove(Logger.defaultLogger)
const insert = (id: number) => [{ sql: "INSERT INTO T VALUES (?)", params: [id], changes: 1 as const }]

/** After every death the connection becomes usable again by itself. */
const untilUp = Effect.retry({ schedule: Schedule.spaced("5 millis"), times: 2_000 })

SqliteConnectionContract.suite({ describe, it }, "SqliteThread", (filename, options) =>
  SqliteThread.make({ filename, ...options })
)

describe("SqliteThread", () => {
  it.scopedLive("prepares each thread that takes the place of a dead one", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const threads: Array<Worker> = []
      const connection = yield* SqliteThread.make({
        filename,
        restartDelay: "10 millis",
        setup: ["CREATE TEMP TRIGGER no BEFORE INSERT ON main.T BEGIN SELECT RAISE(ABORT, 'no'); END"],
        onSpawn: (thread) => threads.push(thread)
      })
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      const [answer] = yield* untilUp(connection.run([insert(1)], "power-loss"))
      assert.isAtLeast(threads.length, 2)
      assert.strictEqual(answer?._tag === "Failed" ? answer.fault.detail : "", "no")
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("fails what is in a thread that dies, as lost, and starts another one", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const threads: Array<Worker> = []
      const connection = yield* SqliteThread.make({
        filename,
        restartDelay: "10 millis",
        onSpawn: (thread) => threads.push(thread)
      })
      yield* connection.run([insert(1)], "power-loss")
      const slow = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000)
        INSERT INTO T SELECT 1000 + max(i) FROM n`
      const exited = yield* Deferred.make<void>()
      threads[0]?.once("exit", () => Deferred.unsafeDone(exited, Effect.void))
      const inFlight = yield* Effect.fork(
        Effect.flip(connection.run([[{ sql: slow, params: [], changes: "any" }]], "power-loss"))
      )
      yield* Effect.yieldNow()
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      const fault = yield* inFlight
      assert.deepInclude(fault, { code: "LOST", phase: "commit" })
      yield* Deferred.await(exited)
      const whileDown = yield* Effect.either(connection.run([insert(2)], "power-loss"))
      if (whileDown._tag === "Left") assert.deepInclude(whileDown.left, { code: "LOST", phase: "queued" })
      yield* untilUp(connection.run([insert(3)], "power-loss"))
      assert.isAtLeast(threads.length, 2)
      assert.includeMembers(
        readRows(filename, "SELECT id FROM T").map(({ id }) => id),
        [1, 3]
      )
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("starts another thread when one cannot even be created, and fails to open when it is the first", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const threads: Array<Worker> = []
      const refuse = (thread: Worker) => {
        void thread.terminate()
        throw new Error("no thread to be had")
      }
      const first = yield* Effect.flip(Effect.scoped(SqliteThread.make({ filename, onSpawn: refuse })))
      assert.deepInclude(first, { code: "LOST", phase: "queued" })
      assert.include(first.detail, "no thread to be had")
      let refusals = 2
      const connection = yield* SqliteThread.make({
        filename,
        restartDelay: "10 millis",
        onSpawn: (thread) => (threads.push(thread) > 1 && refusals-- > 0 ? refuse(thread) : undefined)
      })
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      yield* untilUp(connection.run([insert(1)], "power-loss"))
      assert.strictEqual(threads.length, 4)
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("keeps the new thread when the end of the old one is heard late", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const ends: Array<(code: number) => void> = []
      const threads: Array<Worker> = []
      const connection = yield* SqliteThread.make({
        filename,
        restartDelay: "10 millis",
        onSpawn: (thread) => {
          threads.push(thread)
          ends.push(...(thread.listeners("exit") as typeof ends))
        }
      })
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      yield* untilUp(connection.run([insert(1)], "power-loss"))
      ends[0]?.(1)
      yield* connection.run([insert(2)], "power-loss")
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("gives the connection up when its threads die in a row, and fails every call from then on", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const threads: Array<Worker> = []
      const connection = yield* SqliteThread.make({
        filename,
        restartDelay: "1 millis",
        restartDelayMax: "1 minute",
        restartLimit: 3,
        onSpawn: (thread) => {
          threads.push(thread)
          if (threads.length > 1) void thread.terminate()
        }
      })
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      const fault = yield* Effect.flip(connection.untilStopped)
      assert.deepInclude(fault, { code: "GONE", isFinal: true })
      assert.match(fault.detail, /^the sqlite-writer thread ended 3 times in a row, the last time: .*exit code/)
      assert.strictEqual(threads.length, 3)
      for (const door of [connection.run([insert(1)], "power-loss"), connection.copyLog]) {
        assert.strictEqual((yield* Effect.flip<unknown, EngineFault, never>(door)).code, "GONE")
      }
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("opens no other file in the place of the first when a thread is replaced", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const threads: Array<Worker> = []
      const connection = yield* SqliteThread.make({ filename, onSpawn: (thread) => threads.push(thread) })
      fs.copyFileSync(filename, `${filename}.copy`)
      fs.renameSync(`${filename}.copy`, filename)
      yield* Effect.promise(() => threads[0]?.terminate() ?? Promise.resolve(0))
      assert.strictEqual((yield* Effect.flip(connection.untilStopped)).code, "MOVED")
      assert.strictEqual(threads.length, 2)
    }).pipe(Effect.provide(quiet))
  )

  it.scopedLive("does not wait for ever for a thread that hangs while it opens the file", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const hang = (thread: Worker) => {
        // It never hears of the file, as one that is stuck in the disk never answers.
        thread.postMessage = () => undefined
      }
      const opening = SqliteThread.make({ filename, onSpawn: hang, openTimeout: 0, openHangLimit: "200 millis" })
      const fault = yield* Effect.flip(Effect.scoped(opening))
      assert.deepInclude(fault, { code: "LOST", phase: "queued" })
      assert.include(fault.detail, "no answer within 200ms of opening the file")
    })
  )

  it.scopedLive("refuses a parameter that cannot be sent to a thread: nothing written, nothing lost", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const connection = yield* SqliteThread.make({ filename })
      const params = [(() => 1) as unknown as number]
      const fault = yield* Effect.flip(
        connection.run([[{ sql: "INSERT INTO T VALUES (?)", params, changes: 1 }]], "power-loss")
      )
      assert.deepInclude(fault, { reason: "Rejected", code: "SQLITE_MISUSE", phase: "queued" })
      const guilty = [{ sql: "INSERT INTO T VALUES (?)", params, changes: 1 as const }]
      const answers = yield* connection.run([insert(1), guilty, insert(2)], "power-loss")
      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag),
        ["Done", "Failed", "Done"]
      )
    })
  )

  it.scopedLive.skipIf(process.platform !== "linux")(
    "copies the log in a thread that leaves the processor to others",
    () =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
        const niceOf = (thread: string) =>
          fs.readFileSync(`/proc/self/task/${thread}/stat`, "utf8").split(") ")[1]?.split(" ")[16]
        const background = String(Math.min(os.getPriority() + 5, 19))
        const lowered = () => fs.readdirSync("/proc/self/task").filter((thread) => niceOf(thread) === background).length
        const before = lowered()
        yield* SqliteThread.make({ filename })
        assert.strictEqual(lowered() - before, 1)
      })
  )

  it.scopedLive("keeps the event loop free while a statement runs for long", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const connection = yield* SqliteThread.make({ filename })
      const sql = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000)
        INSERT INTO T SELECT max(i) FROM n`
      let turns = 0
      const ticking = setInterval(() => turns++, 1)
      yield* connection.run([[{ sql, params: [], changes: 1 }]], "power-loss")
      clearInterval(ticking)
      assert.isAbove(turns, 5)
    })
  )
})
