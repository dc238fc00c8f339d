import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as LogSync from "../../../src/node/internal/logSync.ts"
import type { WriteAnswer } from "../../../src/writer/SqliteConnection.ts"

const changed = (changes: number): ReadonlyArray<WriteAnswer> => [{ _tag: "Done", results: [{ rows: [], changes }] }]

/** Syncs that end when the test says so. */
const makeDisk = () => {
  const syncs: Array<string> = []
  let finish: () => void = () => undefined
  const sync: LogSync.Sync = (filename, done) => {
    syncs.push(filename)
    finish = done
  }
  return { syncs, sync, finish: () => finish() }
}

describe("logSync", () => {
  it("syncs the log once about a megabyte was committed without a sync, and not before", () => {
    const { sync, syncs } = makeDisk()
    const logSync = LogSync.make("/data/file.sqlite", sync)
    logSync.committed(changed(200), "process-crash")
    assert.deepStrictEqual(syncs, [])
    logSync.committed(changed(56), "process-crash")
    assert.deepStrictEqual(syncs, ["/data/file.sqlite-wal"])
  })

  it("begins anew after a durable commit, which has synced all of the log", () => {
    const { sync, syncs } = makeDisk()
    const logSync = LogSync.make("file", sync)
    for (let count = 0; count < 5; count++) {
      logSync.committed(changed(200), "process-crash")
      logSync.committed(changed(200), "power-loss")
    }
    assert.deepStrictEqual(syncs, [])
  })

  it("counts no write that failed", () => {
    const { sync, syncs } = makeDisk()
    const fault = { reason: "Rejected", code: "SQLITE_CONSTRAINT", detail: "", phase: "statement" } as const
    const failed: WriteAnswer = { _tag: "Failed", fault }
    const logSync = LogSync.make("file", sync)
    for (let count = 0; count < 300; count++) logSync.committed([failed, ...changed(0)], "process-crash")
    assert.deepStrictEqual(syncs, [])
  })

  it("syncs one after the other, and what was committed meanwhile at once after it", () => {
    const { finish, sync, syncs } = makeDisk()
    const logSync = LogSync.make("file", sync)
    for (let count = 0; count < 3; count++) logSync.committed(changed(256), "process-crash")
    assert.lengthOf(syncs, 1)
    finish()
    assert.lengthOf(syncs, 2)
    finish()
    assert.lengthOf(syncs, 2)
  })

  it("goes on after a log that is not there", async () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "log-sync-"))
    const done = (filename: string) => new Promise<void>((resolve) => LogSync.syncFile(filename, resolve))
    await done(path.join(directory, "missing"))
    fs.writeFileSync(path.join(directory, "log"), "content")
    await done(path.join(directory, "log"))
    assert.strictEqual(fs.readFileSync(path.join(directory, "log"), "utf8"), "content")
    fs.rmSync(directory, { recursive: true })
  })
})
