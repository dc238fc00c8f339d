import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Either, Fiber, Option, Schema } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import { StoredTime } from "../../src/database/StoredTime.ts"
import * as TemporaryDirectory from "proving/drivers/TemporaryDirectory"

const Beat = Schema.Struct({ id: Schema.String, at: StoredTime })

const database = Effect.gen(function* () {
  const filename = path.join(yield* TemporaryDirectory.make, "test.sqlite")
  const writer = yield* Effect.acquireRelease(
    Effect.sync(() => new Sqlite(filename, { timeout: 0 })),
    (writer) => Effect.sync(() => writer.close())
  )
  writer.pragma("journal_mode = WAL")
  writer.exec(
    `CREATE TABLE Beat (id TEXT PRIMARY KEY, at DATETIME);
     INSERT INTO Beat VALUES ('a', 5), ('b', '1970-01-01T00:00:00.006Z')`
  )
  return { filename, writer }
})

const read = <A>(
  filename: string,
  body: (reader: DatabaseReader.DatabaseReader["Type"]) => Effect.Effect<A, DatabaseReader.ReadFailed>
) => Effect.flatMap(DatabaseReader.DatabaseReader, body).pipe(Effect.provide(DatabaseReader.layer({ filename })))

describe("DatabaseReader", () => {
  it.scoped("decodes rows, with times stored either way", () =>
    Effect.gen(function* () {
      const { filename } = yield* database
      const rows = yield* read(filename, (reader) => reader.rows(Beat, "SELECT * FROM Beat ORDER BY id"))
      assert.deepStrictEqual(rows, [
        { id: "a", at: 5 },
        { id: "b", at: 6 }
      ])
    })
  )

  it.effect("compiles the decoder of a schema once", () =>
    Effect.gen(function* () {
      let compileCount = 0
      const schema: typeof Beat = Object.create(Beat, {
        ast: {
          get: () => {
            compileCount++
            return Beat.ast
          }
        }
      })
      const reader = DatabaseReader.fromQuery(() => Effect.succeed([{ id: "a", at: 5 }]))
      yield* reader.rows(schema, "SELECT")
      const first = compileCount
      assert.isAbove(first, 0)
      for (let read = 0; read < 3; read++) yield* reader.first(schema, "SELECT")
      assert.strictEqual(compileCount, first)
    })
  )

  it.scoped("returns the first row as an Option", () =>
    Effect.gen(function* () {
      const { filename } = yield* database
      const find = (id: string) =>
        read(filename, (reader) => reader.first(Beat, "SELECT * FROM Beat WHERE id = ?", [id]))
      assert.deepStrictEqual(yield* find("a"), Option.some({ id: "a", at: 5 }))
      assert.deepStrictEqual(yield* find("z"), Option.none())
    })
  )

  it.scoped("reads while another connection holds the write lock, and sees the commit after it", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      const Count = Schema.Struct({ count: Schema.Number })
      const counts = yield* read(filename, (reader) =>
        Effect.gen(function* () {
          const count = Effect.map(reader.first(Count, "SELECT count(*) AS count FROM Beat"), Option.getOrThrow)
          writer.exec("BEGIN IMMEDIATE; INSERT INTO Beat VALUES ('c', 7)")
          const before = yield* count
          writer.exec("COMMIT")
          return [before.count, (yield* count).count]
        })
      )
      assert.deepStrictEqual(counts, [2, 3])
    })
  )

  it.scoped("cannot write", () =>
    Effect.gen(function* () {
      const { filename } = yield* database
      const error = yield* Effect.flip(read(filename, (reader) => reader.rows(Schema.Unknown, "DELETE FROM Beat")))
      assert.strictEqual(error.code, "SQLITE_READONLY")
    })
  )

  it.scoped("fails typed on a row that does not fit, wrong SQL, and a file that does not exist", () =>
    Effect.gen(function* () {
      const { filename } = yield* database
      const codeOf = (file: string, sql: string) =>
        read(file, (reader) => reader.rows(Schema.Struct({ id: Schema.Number }), sql)).pipe(
          Effect.flip,
          Effect.map(({ code }) => code)
        )
      assert.strictEqual(yield* codeOf(filename, "SELECT id FROM Beat"), "UNDECODABLE")
      assert.strictEqual(yield* codeOf(filename, "SELECT nothing"), "SQLITE_ERROR")
      assert.strictEqual(yield* codeOf(`${filename}.none`, "SELECT 1"), "SQLITE_CANTOPEN")
    })
  )

  it.scoped("reports damage found by a read to its waiters, and goes on reading intact tables", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      writer.exec("CREATE TABLE Torn (id); INSERT INTO Torn VALUES (1)")
      const root = Number(writer.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'Torn'").pluck().get())
      writer.close()
      const file = fs.openSync(filename, "r+")
      fs.writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (root - 1) * 4096)
      fs.closeSync(file)
      yield* read(filename, (reader) =>
        Effect.gen(function* () {
          const waiting = yield* Effect.fork(Effect.flip(reader.untilDamaged))
          yield* reader.rows(Beat, "SELECT * FROM Beat")
          yield* Effect.exit(reader.rows(Schema.Unknown, "SELECT nothing"))
          assert.isNull(waiting.unsafePoll())
          const torn = yield* Effect.either(reader.rows(Schema.Unknown, "SELECT * FROM Torn"))
          const met = yield* Fiber.join(waiting)
          assert.deepInclude(met, { code: "SQLITE_CORRUPT", isRetryable: false })
          assert.deepStrictEqual(torn, Either.left(met))
          assert.strictEqual((yield* reader.rows(Beat, "SELECT * FROM Beat")).length, 2)
        })
      )
    })
  )

  it.scoped("names the column that does not fit, and not its value", () =>
    Effect.gen(function* () {
      const { filename, writer } = yield* database
      writer.exec("CREATE TABLE Letter (content); INSERT INTO Letter VALUES ('{}'), ('canary'), (x'63616e617279')")
      const detailOf = <A, I>(content: Schema.Schema<A, I>, place: number) =>
        read(filename, (reader) =>
          reader.rows(Schema.Struct({ content }), "SELECT content FROM Letter WHERE rowid IN (1, ?)", [place])
        ).pipe(
          Effect.flip,
          Effect.map(({ detail }) => detail)
        )
      const details = [
        yield* detailOf(Schema.parseJson(), 2),
        yield* detailOf(Schema.Literal("{}"), 2),
        yield* detailOf(Schema.String, 3)
      ]
      for (const detail of details) {
        assert.include(detail, "1/content")
        assert.notInclude(detail, "canary")
      }
    })
  )
})
