import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Logger } from "effect"
import fs from "node:fs"
import path from "node:path"
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

const run = (filename: string, budgetMillis = 60_000) => {
  const lines: Array<string> = []
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ message }) => lines.push(String(message)))
  )
  return StartCheck.run({ filename, budgetMillis }).pipe(Effect.provide(logger), Effect.as(lines))
}

describe("StartCheck", () => {
  it.scopedLive("finds nothing in a sound file, nor in one that is not there yet", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      const bytes = fs.readFileSync(filename)
      assert.deepStrictEqual(yield* run(filename), [])
      assert.deepStrictEqual(fs.readFileSync(filename), bytes)
      assert.deepStrictEqual(yield* run(`${filename}.none`), [])
      assert.isFalse(fs.existsSync(`${filename}.none`))
    })
  )

  it.scopedLive.each([2, 3])("refuses damage on page %s, explains how to restore, and keeps the bytes", (page) =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, page)
      const bytes = fs.readFileSync(filename)
      const { message } = yield* Effect.flip(run(filename))
      assert.match(message, /db\.sqlite is damaged \(.+\); move it away .* put a backup in its place$/)
      assert.deepStrictEqual(fs.readFileSync(filename), bytes)
    })
  )

  it.scopedLive("refuses a file that is not a database, whatever the time limit", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, 1)
      assert.include((yield* Effect.flip(run(filename, 0))).message, "file is not a database")
    })
  )

  it.scopedLive("reports how much it left out when the time is over", () =>
    Effect.gen(function* () {
      const filename = yield* newDatabase
      spoil(filename, 2)
      assert.deepStrictEqual(yield* run(filename, 0), ["2 of 2 tables were not checked for damage"])
    })
  )
})
