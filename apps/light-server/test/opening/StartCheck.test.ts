import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Deferred, Effect, Exit, Fiber, Logger } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Worker } from "node:worker_threads"
import * as StartCheck from "../../src/opening/StartCheck.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

/** A file with the tables First and "Second ""one""", a page each. */
const newDatabase = Effect.map(TemporaryDirectory.make, (directory) => {
  const filename = path.join(directory, "db.sqlite")
  const sqlite = new Sqlite(filename)
  sqlite.exec(`CREATE TABLE First (id); CREATE TABLE "Second ""one""" (id)`)
  sqlite.close()
  return filename
})

const spoil = (filename: string, page: number) => {
  const file = fs.openSync(filename, "r+")
  fs.writeSync(file, Buffer.alloc(200, 0xa5), 0, 200, (page - 1) * 4096)
  fs.closeSync(file)
}

const run = (filename: string, options: Partial<StartCheck.Options> = {}) => {
  const lines: Array<string> = []
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ message }) => lines.push(String(message)))
  )
  return StartCheck.run({ filename, budgetMillis: 60_000, ...options }).pipe(Effect.provide(logger), Effect.as(lines))
}

/** Where the check runs: in the thread that asks, as for small files, or in one of its own. */
const places = [
  { place: "in place", inPlaceBytes: Number.MAX_SAFE_INTEGER },
  { place: "in a thread", inPlaceBytes: 0 }
]

describe.each(places)("StartCheck, $place", ({ inPlaceBytes }) => {
  it.scopedLive("finds nothing in a sound file, nor in one that is not there yet", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const bytes = fs.readFileSync(filename)
      assert.deepStrictEqual(yield* run(filename, { inPlaceBytes }), [])
      assert.deepStrictEqual(fs.readFileSync(filename), bytes)
      assert.deepStrictEqual(yield* run(`${filename}.none`, { inPlaceBytes }), [])
      assert.isFalse(fs.existsSync(`${filename}.none`))
    })
  )

  it.scopedLive.each([2, 3])("refuses damage on page %s, explains how to restore, and keeps the bytes", (page) =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, page)
      const bytes = fs.readFileSync(filename)
      const { message } = yield* Effect.flip(run(filename, { inPlaceBytes }))
      assert.match(message, /db\.sqlite is damaged \(.+\); move it away .* put a backup in its place$/)
      assert.deepStrictEqual(fs.readFileSync(filename), bytes)
    })
  )

  it.scopedLive("refuses a file that is not a database, whatever the time limit", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, 1)
      const damaged = yield* Effect.flip(run(filename, { inPlaceBytes, budgetMillis: 0 }))
      assert.include(damaged.message, "file is not a database")
    })
  )

  it.scopedLive("reports how much it left out when the time is over", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, 2)
      assert.deepStrictEqual(yield* run(filename, { inPlaceBytes, budgetMillis: 0 }), [
        "2 of 2 tables were not checked for damage"
      ])
    })
  )

  it.scopedLive("leaves a file that cannot be opened to the steps that write it", () =>
    Effect.gen(function* () {
      const directory = path.dirname(yield* newDatabase)
      assert.deepStrictEqual(yield* run(directory, { inPlaceBytes }), [])
    })
  )
})

describe("StartCheck", () => {
  it.scopedLive("starts a thread for a file that is larger than 1 MiB with its log, and for no other", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const threads: Array<Worker> = []
      const check = run(filename, { onSpawn: (thread) => threads.push(thread) })
      yield* check
      assert.lengthOf(threads, 0)
      fs.writeFileSync(`${filename}-wal`, Buffer.alloc(1024 * 1024))
      yield* check
      assert.lengthOf(threads, 1)
    })
  )

  it.scopedLive("waits for the lock of another process in a thread, also before a small file", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const holder = new Sqlite(filename)
      holder.exec("BEGIN EXCLUSIVE")
      const lines = yield* run(filename, {
        budgetMillis: 0,
        onSpawn: (thread) => void thread.once("online", () => holder.exec("ROLLBACK"))
      })
      holder.close()
      assert.deepStrictEqual(lines, ["2 of 2 tables were not checked for damage"])
    })
  )

  it.scopedLive("says so when the thread ends without an answer, and lets the file be opened", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const onSpawn = (thread: Worker) => void thread.terminate()
      const [line] = yield* run(filename, { inPlaceBytes: 0, onSpawn })
      assert.include(line, "the tables were not checked for damage: exit code")
    })
  )

  it.scopedLive("leaves the event loop free meanwhile, and ends at once when it is interrupted", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const holder = new Sqlite(filename)
      holder.exec("BEGIN EXCLUSIVE")
      const online = yield* Deferred.make<Worker>()
      const onSpawn = (thread: Worker) =>
        void thread.once("online", () => Deferred.unsafeDone(online, Effect.succeed(thread)))
      const checking = yield* Effect.fork(run(filename, { onSpawn }))
      const thread = yield* Deferred.await(online)
      const gone = Effect.async<boolean>((resume) => void thread.once("exit", () => resume(Effect.succeed(true))))
      const going = yield* Effect.fork(gone)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(checking)))
      holder.exec("ROLLBACK")
      holder.close()
      assert.isTrue(yield* Fiber.join(going))
    })
  )
})
