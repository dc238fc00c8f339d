import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as InstanceLock from "../../src/opening/InstanceLock.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as Eventually from "proving/drivers/Eventually"
import { tsx } from "proving/drivers/Tsx"

const script = fileURLToPath(new URL("holdLock.ts", import.meta.url))

const databaseIn = (directory: string) => path.join(directory, "db.sqlite")

const newDatabase = Effect.map(TemporaryDirectory.make, databaseIn)

/** Another process that has the lock. */
const holdElsewhere = (filename: string): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<ChildProcess>((resume) => {
      const child = spawn(process.execPath, ["--import", tsx, script, filename], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      child.stdout.once("data", () => resume(Effect.succeed(child)))
      child.once("exit", (code) => resume(Effect.dieMessage(`the holder ended with ${code}`)))
    }),
    kill
  )

const kill = (child: ChildProcess) =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.kill("SIGKILL")
  })

const holding = (filename: string) => Effect.scoped(InstanceLock.hold(filename))

describe("InstanceLock", () => {
  it.scopedLive("names the process that holds it, and is released when that process is killed", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const holder = yield* holdElsewhere(filename)
      const refusal = yield* Effect.flip(holding(filename))
      assert.strictEqual(refusal._tag, "InstanceRunning")
      assert.include(refusal.message, `${filename} is in use by process ${holder.pid} on ${os.hostname()}, since 20`)
      yield* kill(holder)
      yield* holding(filename)
    })
  )

  it.scopedLive("does not depend on process ids: one that is reused holds nothing", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const holder = yield* holdElsewhere(filename)
      yield* kill(holder)
      const sqlite = new Sqlite(`${filename}.lock`)
      sqlite.prepare("UPDATE Holder SET pid = ?").run(process.ppid)
      sqlite.close()
      yield* holding(filename)
    })
  )

  it.scopedLive("stays taken for other processes when a second start in the same process was refused", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      yield* InstanceLock.hold(filename)
      assert.strictEqual((yield* Effect.flip(holding(filename)))._tag, "InstanceRunning")
      const elsewhere = yield* Effect.exit(holdElsewhere(filename))
      assert.strictEqual(elsewhere._tag, "Failure", "two processes hold the same lock")
    })
  )

  it.scopedLive("is exclusive within a process too, and is released with its scope", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      for (let round = 0; round < 3; round++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* InstanceLock.hold(filename)
            const refusal = yield* Effect.flip(holding(filename))
            assert.include(refusal.message, `process ${process.pid} on `)
          })
        )
      }
    })
  )

  it.scopedLive(
    "lets exactly one of many have it that start in the same moment",
    () =>
      Effect.gen(function* () {
        const filename = yield* newDatabase
        const starting = Effect.async<{ readonly child: ChildProcess; readonly isHolder: boolean }>((resume) => {
          const child = spawn(process.execPath, ["--import", tsx, script, filename], {
            stdio: ["ignore", "pipe", "ignore"]
          })
          child.stdout.once("data", () => resume(Effect.succeed({ child, isHolder: true })))
          child.once("exit", () => resume(Effect.succeed({ child, isHolder: false })))
        })
        const all = yield* Effect.acquireRelease(
          Effect.all(
            Array.from({ length: 4 }, () => starting),
            { concurrency: "unbounded" }
          ),
          (started) => Effect.forEach(started, ({ child }) => kill(child), { discard: true })
        )
        assert.strictEqual(all.filter(({ isHolder }) => isHolder).length, 1)
      }),
    30_000
  )

  it.scopedLive("works in memory file systems, is private, and leaves the database alone", () =>
    Effect.gen(function* () {
      const places = ["/dev/shm", os.tmpdir()].filter((place) => fs.existsSync(place))
      for (const place of places) {
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => fs.mkdtempSync(path.join(place, "light-server-"))),
          (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
        )
        const filename = databaseIn(directory)
        yield* InstanceLock.hold(filename)
        assert.strictEqual((yield* Effect.flip(holding(filename)))._tag, "InstanceRunning")
        assert.deepStrictEqual(fs.readdirSync(directory), ["db.sqlite.lock"])
        assert.strictEqual(fs.statSync(`${filename}.lock`).mode & 0o777, 0o600)
      }
    })
  )

  it.scopedLive("reports what is wrong with a path that cannot be locked", () =>
    Effect.gen(function* () {
      const missing = yield* Effect.flip(holding("/no/such/directory/db.sqlite"))
      assert.strictEqual(missing._tag, "InstanceLockUnusable")
      assert.include(missing.message, "/no/such/directory/db.sqlite.lock")
      assert.include(missing.message, "ENOENT")
      const filename = yield* newDatabase
      fs.writeFileSync(`${filename}.lock`, "no lock of ours, but long enough to be read as a header. ".repeat(20))
      assert.include((yield* Effect.flip(holding(filename))).message, "file is not a database")
    })
  )

  it.scopedLive("is taken again when its file is removed, so that no other server gets it", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const { untilTaken } = yield* InstanceLock.hold(filename, "10 millis")
      yield* Effect.forkScoped(untilTaken)
      fs.rmSync(`${filename}.lock`)
      yield* Eventually.until(
        Effect.sync(() => fs.existsSync(`${filename}.lock`)),
        (exists) => exists
      )
      const elsewhere = yield* Effect.exit(holdElsewhere(filename))
      assert.strictEqual(elsewhere._tag, "Failure", "two processes hold the same lock")
    })
  )

  it.scopedLive("reports when another server took it after its file was removed", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const { untilTaken } = yield* InstanceLock.hold(filename, "10 millis")
      fs.rmSync(`${filename}.lock`)
      const other = yield* holdElsewhere(filename)
      const failure = yield* Effect.flip(untilTaken)
      assert.include(failure.message, `process ${other.pid}`)
    })
  )
})
