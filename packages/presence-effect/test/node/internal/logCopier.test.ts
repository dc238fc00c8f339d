import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as LogCopier from "../../../src/node/internal/logCopier.ts"
import { temporaryDatabase } from "../../support/temporaryFile.ts"

const open = Effect.gen(function* () {
  const filename = yield* temporaryDatabase("CREATE TABLE T (a INTEGER)")
  const writer = yield* Effect.acquireRelease(
    Effect.sync(() => new Database(filename)),
    (database) => Effect.sync(() => database.close())
  )
  writer.pragma("journal_mode = WAL")
  writer.pragma("wal_autocheckpoint = 0")
  const options = { filename, journalSizeLimitBytes: 1_000_000, setup: ["not run"], freeReserveBytes: 0 }
  const copier = yield* Effect.acquireRelease(
    Effect.sync(() => LogCopier.open(options)),
    (opened) => Effect.sync(() => ("_tag" in opened ? undefined : opened.close()))
  )
  if ("_tag" in copier) return yield* Effect.dieMessage(copier.fault.detail)
  return { copier, writer }
})

describe("the copier of the log", () => {
  it.scoped("copies what the writer wrote, and says how far the log is", () =>
    Effect.gen(function* () {
      const { copier, writer } = yield* open
      writer.exec("INSERT INTO T VALUES (1)")
      const looked = copier.checkpoint("noop")
      assert.isTrue(looked._tag === "Checkpointed" && looked.result.checkpointedFrames < looked.result.logFrames)
      const copied = copier.checkpoint("passive")
      assert.isTrue(copied._tag === "Checkpointed" && copied.result.checkpointedFrames === copied.result.logFrames)
    })
  )

  it.scoped("says what the file holds, and writes nothing", () =>
    Effect.gen(function* () {
      const { copier, writer } = yield* open
      const space = copier.compact(0)
      assert.deepInclude(space._tag === "Compacted" ? space.result : {}, {
        pageBytes: 4_096,
        pageCount: writer.pragma("page_count", { simple: true }),
        removedPages: 0
      })
      for (const refused of [copier.compact(1), copier.run()]) {
        assert.deepInclude(refused._tag === "Failed" ? refused.fault : {}, { code: "SQLITE_MISUSE", phase: "queued" })
      }
    })
  )

  it.scoped("says why it cannot open what is no database", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (a INTEGER)")
      fs.writeFileSync(filename, "no database".repeat(1_000))
      const opened = LogCopier.open({ filename, journalSizeLimitBytes: 1, setup: [], freeReserveBytes: 0 })
      assert.deepInclude("_tag" in opened ? opened.fault : {}, { code: "SQLITE_NOTADB", phase: "queued" })
    })
  )
})
