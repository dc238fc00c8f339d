/**
 * Goal: real threads read what the event loop would, send it as bytes, and can be ended in the middle of a statement.
 * Method: a file with rows of all kinds, read by the built thread.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Fiber, Schema } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Worker } from "node:worker_threads"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"
import * as BoundedList from "../../src/database/BoundedList.ts"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as ReadPool from "../../src/database/ReadPool.ts"
import type { ListRequest } from "../../src/database/ReadRequest.ts"
import { parsedRows } from "../support/parsedRows.ts"

const database = Effect.gen(function* () {
  const filename = path.join(yield* TemporaryDirectory.make, "test.sqlite")
  const writer = yield* Effect.acquireRelease(
    Effect.sync(() => new Sqlite(filename)),
    (writer) => Effect.sync(() => writer.close())
  )
  writer.pragma("journal_mode = WAL")
  writer.exec("CREATE TABLE Item (id INTEGER PRIMARY KEY, name, data, at DATETIME)")
  return { filename, writer }
})

const items = (sql: string, params: ListRequest["params"] = []): ListRequest => ({
  _tag: "List",
  sql,
  params,
  fields: [
    { column: "id", kind: "int", as: "id" },
    { column: "name", kind: "textOrNull", as: "name" },
    { column: "data", kind: "bytesOrNull", as: "data" },
    { column: "at", kind: "time", as: "at" }
  ],
  kept: ["id"],
  first: [],
  constants: "",
  limit: 1000,
  bytesMax: 64 * 1024 * 1024
})

const selectItems = "SELECT * FROM Item ORDER BY id"

const list = (reader: DatabaseReader.DatabaseReader["Type"], request: ListRequest) =>
  BoundedList.ask(reader, "Session", "list", request)

/** Works for some time without returning to JavaScript: about a second for five million steps. */
const counting = (steps: string) =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${steps}) SELECT count(*) AS c FROM n`

const withReader = <A, E>(
  options: DatabaseReader.Options,
  body: (reader: DatabaseReader.DatabaseReader["Type"]) => Effect.Effect<A, E>
) => Effect.flatMap(DatabaseReader.DatabaseReader, body).pipe(Effect.provide(DatabaseReader.layer(options)))

describe("ReaderThread", () => {
  it.scopedLive("sends rows of all kinds as JSON, and leaves out what does not fit", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      const insert = writer.prepare("INSERT INTO Item VALUES (?, ?, ?, ?)")
      insert.run(1, `quote " and \u2028 and é`, Buffer.from("bytes"), 5)
      insert.run(2, null, null, "1970-01-01T00:00:00.006Z")
      insert.run(3, 12.5, null, 7)
      insert.run(4, "x".repeat(3_000_000), null, 8)
      const found = yield* withReader({ filename }, (reader) => list(reader, items(selectItems)))
      assert.deepStrictEqual(parsedRows(found), [
        { id: 1, name: `quote " and \u2028 and é`, data: "Ynl0ZXM=", at: 5 },
        { id: 2, name: null, data: null, at: 6 },
        { id: 4, name: "x".repeat(3_000_000), data: null, at: 8 }
      ])
      assert.deepStrictEqual(
        found.rows.map(({ kept }) => kept),
        [[1], [2], [4]]
      )
    })
  )

  it.scopedLive("sees each write that was answered before, 200 of 200, from both threads", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      const insert = writer.prepare("INSERT INTO Item VALUES (?, NULL, NULL, 1)")
      const newest = items("SELECT * FROM Item ORDER BY id DESC LIMIT 1")
      const seen = yield* withReader({ filename }, (reader) =>
        Effect.forEach(
          Array.from({ length: 200 }, (_, index) => index + 1),
          (id) =>
            Effect.suspend(() => {
              insert.run(id)
              return Effect.all([list(reader, newest), list(reader, newest)], { concurrency: 2 })
            }).pipe(Effect.map((both) => both.every(({ rows }) => rows[0]?.kept[0] === id)))
        )
      )
      assert.lengthOf(
        seen.filter((isSeen) => isSeen),
        200
      )
    })
  )

  it.scopedLive("reports damage, and goes on reading intact tables", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      writer.exec("INSERT INTO Item VALUES (1, NULL, NULL, 1); CREATE TABLE Torn (id); INSERT INTO Torn VALUES (1)")
      const root = Number(writer.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'Torn'").pluck().get())
      writer.close()
      const file = fs.openSync(filename, "r+")
      fs.writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (root - 1) * 4096)
      fs.closeSync(file)
      yield* withReader({ filename }, (reader) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.fork(Effect.flip(reader.untilDamaged))
          const torn = yield* Effect.flip(list(reader, items("SELECT * FROM Torn")))
          assert.deepInclude(torn, { _tag: "ReadFailed", code: "SQLITE_CORRUPT", isRetryable: false })
          assert.strictEqual(yield* Fiber.join(waiting), torn)
          assert.lengthOf((yield* list(reader, items(selectItems))).rows, 1)
        })
      )
    })
  )

  it.scopedLive("fails typed when the thread dies, and reads on with the next", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      writer.exec("INSERT INTO Item VALUES (1, NULL, NULL, 1)")
      const threads: Array<Worker> = []
      yield* withReader({ filename, onSpawn: (thread) => threads.push(thread) }, (reader) =>
        Effect.gen(function* () {
          yield* list(reader, items(selectItems))
          const dying = yield* Effect.fork(Effect.flip(reader.rowsAside("list", Schema.Unknown, counting("4e6"), [])))
          yield* Effect.yieldNow()
          void threads[0]?.terminate()
          const failure = yield* Fiber.join(dying)
          assert.deepInclude(failure, { _tag: "ReadFailed", code: "THREAD_LOST", isRetryable: true })
          assert.lengthOf((yield* list(reader, items(selectItems))).rows, 1)
        })
      )
      assert.lengthOf(threads, 2)
    })
  )

  it.scopedLive("answers other reads while a statement does not end, and closes all the same", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      writer.exec("INSERT INTO Item VALUES (1, NULL, NULL, 1)")
      const { classes } = ReadPool.defaults
      const pool = {
        threads: 2,
        classes: { ...classes, report: { queueLimit: 1, deadline: "100 millis" } }
      } as const
      const threads: Array<Worker> = []
      const Count = Schema.Struct({ c: Schema.Number })
      const outcome = yield* withReader({ filename, pool, onSpawn: (thread) => threads.push(thread) }, (reader) =>
        Effect.gen(function* () {
          const hanging = yield* Effect.fork(Effect.flip(reader.rowsAside("report", Count, counting("4e6"), [])))
          assert.lengthOf((yield* list(reader, items(selectItems))).rows, 1)
          const failure = yield* Fiber.join(hanging)
          assert.lengthOf((yield* list(reader, items(selectItems))).rows, 1)
          return failure._tag
        })
      )
      assert.strictEqual(outcome, "ReadTimeout")
    })
  )
})
