/**
 * Takes the write lock of a database file from outside, for real.
 *
 * @example
 * import Database from "better-sqlite3"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
 * import * as ForeignLock from "presence-effect/testing/ForeignLock"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * new Database(filename).exec("CREATE TABLE Machine (id TEXT PRIMARY KEY)").close()
 *
 * const program = Effect.gen(function* () {
 *   const writer = yield* SqliteWriter.SqliteWriter
 *   const insert = writer.write(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES ('m')"))
 *   const failure = yield* Effect.scoped(Effect.zipRight(ForeignLock.hold(filename), Effect.flip(insert)))
 *   strictEqual(failure._tag, "DatabaseBusy")
 *   yield* insert
 * })
 * const services = Layer.provide(SqliteWriter.layer(), SqliteInProcess.layer({ filename }))
 * await Effect.runPromise(Effect.provide(program, services))
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import { createRequire } from "node:module"

/**
 * The other process could not take the lock.
 *
 * @category errors
 * @since 0.1.0
 */
export class ForeignLockFailed extends Data.TaggedError("ForeignLockFailed")<{ readonly detail: string }> {}

// Its own process, as a backup tool or a stray shell would be: nothing here shares a thread with it.
const program = `
  const Database = require(process.argv[1])
  const database = new Database(process.argv[2], { timeout: 5000 })
  database.exec("BEGIN IMMEDIATE")
  process.stdout.write("locked")
  process.stdin.resume()
  process.stdin.on("end", () => { database.exec("ROLLBACK"); database.close(); process.exit(0) })
`

/**
 * Holds the write lock of `filename` in another process until the scope closes.
 * Succeeds once the lock is held. Nothing is written.
 *
 * **Errors**: `ForeignLockFailed` when the lock could not be had within 5 s.
 *
 * @category constructors
 * @since 0.1.0
 */
export const hold = (filename: string): Effect.Effect<void, ForeignLockFailed, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.async<ChildProcess.ChildProcess, ForeignLockFailed>((resume) => {
        const driver = createRequire(import.meta.url).resolve("better-sqlite3")
        const child = ChildProcess.spawn(process.execPath, ["-e", program, driver, filename], {
          stdio: ["pipe", "pipe", "pipe"]
        })
        let detail = ""
        child.stderr.on("data", (chunk) => (detail += String(chunk)))
        child.stdout.once("data", () => resume(Effect.succeed(child)))
        child.once("error", (error) => resume(Effect.fail(new ForeignLockFailed({ detail: String(error) }))))
        child.once("exit", () => resume(Effect.fail(new ForeignLockFailed({ detail }))))
      }),
      (child) =>
        Effect.async<void>((resume) => {
          if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
          child.once("exit", () => resume(Effect.void))
          child.stdin?.end()
        })
    )
  )
