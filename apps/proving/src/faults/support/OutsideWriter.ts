/**
 * Another program on the same file that writes again and again, as a process of
 * its own.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import * as ChildProgram from "./ChildProgram.ts"

const program = `
  const [driver, file, text] = process.argv.slice(1)
  const { begin, holdMillis, gapMillis } = JSON.parse(text)
  const database = new (require(driver))(file, { timeout: 2000 })
  const counts = { commits: 0, busy: 0, snapshotConflicts: 0 }
  const wait = (millis) => new Promise((resolve) => setTimeout(resolve, millis))
  const turn = async () => {
    try {
      database.exec("BEGIN " + begin)
      database.prepare("SELECT count(*) FROM Machine").get()
      if (begin === "DEFERRED") await wait(holdMillis)
      database.exec("UPDATE ServerHeartbeat SET beatAt = beatAt")
      if (begin !== "DEFERRED") await wait(holdMillis)
      database.exec("COMMIT")
      counts.commits++
    } catch (error) {
      if (!String(error.code).startsWith("SQLITE_BUSY")) throw error
      if (error.code === "SQLITE_BUSY_SNAPSHOT") counts.snapshotConflicts++
      else counts.busy++
      if (database.inTransaction) database.exec("ROLLBACK")
    }
    process.send(counts)
    setTimeout(turn, gapMillis)
  }
  process.on("disconnect", () => process.exit(0))
  turn()
`

export interface OutsideWriter {
  readonly counts: () => { readonly commits: number; readonly busy: number; readonly snapshotConflicts: number }
}

/** Writes until the scope closes. Succeeds once it has tried for the first time. */
export const start = (
  file: string,
  options: { readonly begin: "DEFERRED" | "IMMEDIATE"; readonly holdMillis: number; readonly gapMillis: number }
): Effect.Effect<OutsideWriter, never, Scope.Scope> =>
  Effect.gen(function* () {
    const driver = createRequire(import.meta.url).resolve("better-sqlite3")
    const started = yield* Deferred.make<void>()
    let counts = { commits: 0, busy: 0, snapshotConflicts: 0 }
    const { begun } = yield* ChildProgram.run(() => {
      const child = spawn(process.execPath, ["-e", program, driver, file, JSON.stringify(options)], {
        stdio: ["ignore", "ignore", "inherit", "ipc"]
      })
      child.on("message", (message) => {
        counts = message as typeof counts
        Deferred.unsafeDone(started, Effect.void)
      })
      return child
    })
    yield* begun(started, () => "the outside writer ended instead of writing")
    return { counts: () => counts }
  })
