import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FileIdentity from "../../src/node/FileIdentity.ts"
import { temporaryDirectory } from "../support/temporaryFile.ts"

const twoFiles = Effect.map(temporaryDirectory, (directory) => {
  const filename = path.join(directory, "db.sqlite")
  fs.writeFileSync(filename, "12345")
  fs.writeFileSync(`${filename}-wal`, "123")
  return filename
})

describe("FileIdentity", () => {
  it.scopedLive("tells device, inode and size of the database and of its log", () =>
    Effect.gen(function* () {
      const filename = yield* twoFiles
      const { dev, ino } = fs.statSync(filename)
      const { ino: logIno } = fs.statSync(`${filename}-wal`)
      assert.deepStrictEqual(yield* FileIdentity.read(filename), {
        database: `${dev}:${ino}`,
        log: `${dev}:${logIno}`,
        databaseBytes: 5,
        logBytes: 3
      })
    })
  )

  it.scopedLive("does not take a change of the content for another file", () =>
    Effect.gen(function* () {
      const filename = yield* twoFiles
      const before = yield* FileIdentity.read(filename)
      fs.appendFileSync(filename, "67")
      const after = yield* FileIdentity.read(filename)
      assert.strictEqual(after.database, before.database)
      assert.strictEqual(after.databaseBytes, 7)
    })
  )

  it.scopedLive("sees through a replacement of the same content, and a log of another file", () =>
    Effect.gen(function* () {
      const filename = yield* twoFiles
      const before = yield* FileIdentity.read(filename)
      for (const name of [filename, `${filename}-wal`]) {
        fs.copyFileSync(name, `${name}.copy`)
        fs.renameSync(`${name}.copy`, name)
      }
      const after = yield* FileIdentity.read(filename)
      assert.notStrictEqual(after.database, before.database)
      assert.notStrictEqual(after.log, before.log)
    })
  )

  it.scopedLive("does not call a file that is not there an error", () =>
    Effect.gen(function* () {
      const filename = yield* twoFiles
      fs.unlinkSync(`${filename}-wal`)
      const withoutLog = yield* FileIdentity.read(filename)
      assert.deepInclude(withoutLog, { log: undefined, logBytes: 0 })
      assert.isDefined(withoutLog.database)
      fs.unlinkSync(filename)
      assert.deepStrictEqual(yield* FileIdentity.read(filename), {
        database: undefined,
        log: undefined,
        databaseBytes: 0,
        logBytes: 0
      })
    })
  )

  it.scopedLive("fails, naming the path, when it cannot look", () =>
    Effect.gen(function* () {
      const filename = yield* twoFiles
      const below = path.join(filename, "below-a-file.sqlite")
      const fault = yield* Effect.flip(FileIdentity.read(below))
      assert.deepInclude(fault, { code: "STAT", phase: "queued" })
      assert.include(fault.detail, below)
    })
  )
})
