import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as fs from "node:fs"
import * as path from "node:path"
import * as SqliteReader from "../../src/node/SqliteReader.ts"
import { PresenceReader } from "../../src/sqlite/SqlitePresenceStorage.ts"
import { temporaryDatabase, temporaryDirectory } from "../support/temporaryFile.ts"

const tables = "CREATE TABLE T (id INTEGER PRIMARY KEY); INSERT INTO T VALUES (1), (2), (3)"

describe("SqliteReader", () => {
  it.scopedLive("reads with positional parameters, also while another connection writes", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const reader = yield* SqliteReader.make({ filename })
      const foreign = new Database(filename)
      foreign.exec("BEGIN IMMEDIATE; INSERT INTO T VALUES (4)")
      assert.deepStrictEqual(yield* reader.query("SELECT id FROM T WHERE id > ?", [1]), [{ id: 2 }, { id: 3 }])
      foreign.exec("COMMIT")
      foreign.close()
      assert.lengthOf(yield* reader.query("SELECT id FROM T WHERE id > ?", [1]), 3)
    })
  )

  it.scopedLive("cannot write, and does not wait when it meets a lock", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const reader = yield* SqliteReader.make({ filename })
      const refused = yield* Effect.flip(reader.query("INSERT INTO T VALUES (9)", []))
      assert.include(String((refused as { readonly cause?: unknown }).cause), "readonly")
      assert.deepStrictEqual(yield* reader.query("PRAGMA busy_timeout", []), [{ timeout: 0 }])
    })
  )

  it.scopedLive("reads through a client of the host", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(tables)
      const client = Layer.provide(SqliteClient.layer({ filename, readonly: true, disableWAL: true }), Reactivity.layer)
      assert.deepStrictEqual(
        yield* Effect.provide(
          Effect.flatMap(PresenceReader, ({ query }) => query("SELECT id FROM T WHERE id > ?", [1])),
          Layer.provide(SqliteReader.layerClient, client)
        ),
        [{ id: 2 }, { id: 3 }]
      )
    })
  )

  it.scopedLive("fails with SQLite's own code when there is no file, and makes none", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const filename = path.join(directory, "missing.sqlite")
      const fault = yield* Effect.flip(Effect.scoped(SqliteReader.make({ filename })))
      assert.deepInclude(fault, { _tag: "EngineFault", code: "SQLITE_CANTOPEN", phase: "queued" })
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    })
  )
})
