import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import type { WriteAnswer } from "../../writer/SqliteConnection.ts"
import type { Changes, SqlValue, Statement } from "../../writer/Write.ts"
import {
  connectionCase,
  type ConnectionWorld,
  readRows,
  temporaryDatabase,
  temporaryDirectory
} from "./connectionWorld.ts"
import * as assert from "./expect.ts"

const schema = `
  CREATE TABLE Parent (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
  CREATE TABLE Child (id INTEGER PRIMARY KEY, parentId INTEGER NOT NULL REFERENCES Parent(id));
  CREATE TABLE Late (id INTEGER PRIMARY KEY, parentId INTEGER REFERENCES Parent(id) DEFERRABLE INITIALLY DEFERRED);
`

const statement = (sql: string, params: ReadonlyArray<SqlValue> = [], changes: Changes = "any"): Statement => ({
  sql,
  params,
  changes
})
const insert = (id: number, name = `name ${id}`) => statement("INSERT INTO Parent VALUES (?, ?)", [id, name], 1)
const tags = (answers: ReadonlyArray<WriteAnswer>) =>
  answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.code))
const ids = (filename: string) => readRows(filename, "SELECT id FROM Parent ORDER BY id").map(({ id }) => id)

const open = ({ make }: ConnectionWorld) =>
  Effect.gen(function* () {
    const filename = yield* temporaryDatabase(schema)
    return { filename, connection: yield* make(filename) }
  })

/** What every adapter of `SqliteConnection` on a real file must do. */
export const connectionCases = [
  connectionCase("commits the statements of a write together and returns rows and changes", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const answers = yield* connection.run(
        [[insert(1), statement("UPDATE Parent SET name = 'b' RETURNING id, name")]],
        "power-loss"
      )
      assert.deepStrictEqual(answers, [
        {
          _tag: "Done",
          results: [
            { rows: [], changes: 1 },
            { rows: [{ id: 1, name: "b" }], changes: 1 }
          ]
        }
      ])
      assert.deepStrictEqual(ids(filename), [1])
    })
  ),

  connectionCase("rolls the whole write back when a statement changes another number of rows than demanded", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const [answer] = yield* connection.run(
        [[insert(1), statement("UPDATE Parent SET name = 'x' WHERE id = 9", [], "some")]],
        "power-loss"
      )
      assert.deepInclude(answer?._tag === "Failed" ? answer.fault.conflict : {}, {
        statement: 1,
        expected: "some",
        changed: 0
      })
      assert.deepStrictEqual(ids(filename), [])
    })
  ),

  connectionCase("puts a group into one commit and lets one that fails take no other with it", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const answers = yield* connection.run(
        [
          [insert(1)],
          [insert(2), insert(3, "name 1")],
          [statement("INSERT INTO Nowhere VALUES (1)")],
          [insert(4), statement("DELETE FROM Parent WHERE id = 77", [], 1)],
          [insert(5)]
        ],
        "power-loss"
      )
      assert.deepStrictEqual(tags(answers), ["Done", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_ERROR", "CONFLICT", "Done"])
      assert.deepStrictEqual(ids(filename), [1, 5])
    })
  ),

  connectionCase("enforces foreign keys", (world) =>
    Effect.gen(function* () {
      const { connection } = yield* open(world)
      const answers = yield* connection.run([[statement("INSERT INTO Child VALUES (1, 99)")]], "power-loss")
      assert.deepStrictEqual(tags(answers), ["SQLITE_CONSTRAINT_FOREIGNKEY"])
    })
  ),

  connectionCase(
    "lets a constraint that is only checked at the commit fail the write that broke it, and no other",
    (world) =>
      Effect.gen(function* () {
        const { connection, filename } = yield* open(world)
        const orphan = statement("INSERT INTO Late VALUES (1, 99)", [], 1)
        const answers = yield* connection.run([[insert(8)], [orphan], [insert(9)]], "power-loss")
        assert.deepStrictEqual(tags(answers), ["Done", "SQLITE_CONSTRAINT_FOREIGNKEY", "Done"])
        assert.deepStrictEqual(ids(filename), [8, 9])
      })
  ),

  connectionCase("refuses a write that steers the transaction or the connection", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const commented = [
        "/* so */ COMMIT",
        "-- so\r\n ROLLBACK",
        ";;END",
        "/**/ -- so\n/* a\nb */pragma foreign_keys = OFF"
      ]
      for (const sql of [
        "COMMIT",
        " rollback",
        "PRAGMA foreign_keys = OFF",
        "ATTACH ':memory:' AS other",
        ...commented
      ]) {
        assert.deepStrictEqual(tags(yield* connection.run([[insert(1), statement(sql)]], "power-loss")), [
          "SQLITE_MISUSE"
        ])
      }
      assert.deepStrictEqual(ids(filename), [])
    })
  ),

  connectionCase("answers busy at once while another connection writes, and works again after", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const foreign = new Database(filename)
      foreign.exec("BEGIN IMMEDIATE")
      const fault = yield* Effect.flip(connection.run([[insert(1)], [insert(2)]], "power-loss"))
      assert.deepInclude(fault, { code: "SQLITE_BUSY", phase: "begin" })
      foreign.exec("ROLLBACK")
      foreign.close()
      assert.deepStrictEqual(tags(yield* connection.run([[insert(1)]], "power-loss")), ["Done"])
    })
  ),

  connectionCase("runs an atomic statement as a transaction of its own, with the same answers", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const atomic = (sql: string): Statement => ({ ...statement(sql), isAtomic: true })
      const run = (sql: string) => connection.run([[atomic(sql)]], "power-loss")
      const rows = [
        { id: 1, name: "a" },
        { id: 2, name: "b" }
      ]
      assert.deepStrictEqual(yield* run("INSERT INTO Parent VALUES (1, 'a'), (2, 'b') RETURNING id, name"), [
        { _tag: "Done", results: [{ rows, changes: 2 }] }
      ])
      assert.deepStrictEqual(tags(yield* run("INSERT INTO Parent VALUES (3, 'c'), (4, 'a')")), [
        "SQLITE_CONSTRAINT_UNIQUE"
      ])
      assert.deepStrictEqual(tags(yield* run("INSERT INTO Late VALUES (1, 99)")), ["SQLITE_CONSTRAINT_FOREIGNKEY"])
      assert.deepStrictEqual(tags(yield* run("COMMIT")), ["SQLITE_MISUSE"])
      assert.deepStrictEqual(tags(yield* run("INSERT INTO Nowhere VALUES (1)")), ["SQLITE_ERROR"])
      const foreign = new Database(filename)
      foreign.exec("BEGIN IMMEDIATE")
      assert.deepInclude(yield* Effect.flip(run("DELETE FROM Parent")), { code: "SQLITE_BUSY", phase: "begin" })
      foreign.exec("ROLLBACK")
      foreign.close()
      assert.deepStrictEqual(ids(filename), [1, 2])
    })
  ),

  connectionCase("keeps what a statement has changed before it failed out of the file, whatever it says", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const careless = statement("INSERT OR FAIL INTO Parent VALUES (1, 'a'), (2, 'a')")
      assert.deepStrictEqual(tags(yield* connection.run([[careless]], "power-loss")), ["SQLITE_CONSTRAINT_UNIQUE"])
      assert.deepStrictEqual(ids(filename), [])
    })
  ),

  connectionCase("works on after a statement that could not be prepared, once its table exists", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const late = statement("INSERT INTO Missing VALUES (1)")
      assert.deepStrictEqual(tags(yield* connection.run([[late]], "power-loss")), ["SQLITE_ERROR"])
      const foreign = new Database(filename)
      foreign.exec("CREATE TABLE Missing (id)")
      foreign.close()
      assert.deepStrictEqual(tags(yield* connection.run([[late]], "power-loss")), ["Done"])
    })
  ),

  connectionCase("says in SQLite's words why it cannot open the file again", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      // A log that ends too early is an input/output error to a connection that must read it.
      const foreign = new Database(filename)
      foreign.prepare("INSERT INTO Parent VALUES (7, 'foreign')").run()
      fs.truncateSync(`${filename}-wal`, 0)
      assert.notDeepStrictEqual(
        tags(yield* connection.run([[insert(1)]], "power-loss").pipe(Effect.orElseSucceed(() => []))),
        ["Done"]
      )
      foreign.close()
      for (const suffix of ["", "-wal", "-shm"]) fs.rmSync(`${filename}${suffix}`, { force: true })
      fs.writeFileSync(filename, "no database, long enough for a header of one. ".repeat(30))
      const fault = yield* Effect.flip(connection.run([[insert(1)]], "power-loss"))
      assert.deepInclude(fault, { code: "SQLITE_NOTADB", detail: "file is not a database" })
    })
  ),

  connectionCase("stays on its connection when a statement cannot be prepared, again and again", (world) =>
    Effect.gen(function* () {
      const { connection } = yield* open(world)
      const run = (sql: string) => Effect.map(connection.run([[statement(sql)]], "power-loss"), tags)
      // Of the connection, so that it tells one from the next.
      assert.deepStrictEqual(yield* run("CREATE TEMP TABLE Mark (id)"), ["Done"])
      const missing = "INSERT INTO Missing VALUES (1)"
      for (let round = 0; round < 3; round++) {
        assert.deepStrictEqual(yield* run(missing), ["SQLITE_ERROR"])
        const group = yield* connection.run(
          [[insert(10 + round)], [statement(missing)], [insert(20 + round)]],
          "power-loss"
        )
        assert.deepStrictEqual(tags(group), ["Done", "SQLITE_ERROR", "Done"])
        assert.deepStrictEqual(yield* run("INSERT INTO Mark VALUES (1)"), ["Done"])
      }
      assert.deepStrictEqual(yield* run("CREATE TABLE Missing (id INTEGER PRIMARY KEY)"), ["Done"])
      const [answer] = yield* connection.run([[statement(missing, [], 1)]], "power-loss")
      assert.deepStrictEqual(answer, { _tag: "Done", results: [{ rows: [], changes: 1 }] })
      assert.deepStrictEqual(yield* run(missing), ["SQLITE_CONSTRAINT_PRIMARYKEY"])
    })
  ),

  connectionCase("keeps integers whole: exact beyond 2^53, and no reals in a column without a type", (world) =>
    Effect.gen(function* () {
      const { connection } = yield* open(world)
      const big = 9_007_199_254_740_993n
      yield* connection.run([[statement("CREATE TABLE Loose (a, b, c)")]], "power-loss")
      const insertLoose = statement(
        "INSERT INTO Loose VALUES (?, ?, ?) RETURNING a, b, c, typeof(a) AS ta, typeof(b) AS tb, typeof(c) AS tc",
        [5, big, 0.5]
      )
      const [answer] = yield* connection.run([[insertLoose]], "power-loss")
      assert.deepStrictEqual(answer?._tag === "Done" ? answer.results[0]?.rows : answer, [
        { a: 5, b: big, c: 0.5, ta: "integer", tb: "integer", tc: "real" }
      ])
    })
  ),

  connectionCase("leaves nothing of a write that meets the page limit of the file", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      yield* connection.run([[statement("CREATE TABLE Blobs (b BLOB)")]], "power-loss")
      const huge = statement("INSERT INTO Blobs VALUES (zeroblob(2000000000))")
      const answers = yield* connection.run([[insert(1)], [insert(2), huge], [insert(3)]], "process-crash")
      assert.strictEqual(answers[0]?._tag, "Done")
      assert.strictEqual(answers[1]?._tag, "Failed")
      assert.strictEqual(answers[2]?._tag, "Done")
      assert.deepStrictEqual(ids(filename), [1, 3])
    })
  ),

  connectionCase("does not checkpoint in the commit, and copies and empties the log when told to", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      for (let id = 1; id <= 1_200; id++) yield* connection.run([[insert(id)]], "process-crash")
      const before = yield* connection.identity
      assert.isAbove(before.logBytes, 1_100 * 4_096)
      const copied = yield* connection.copyLog
      assert.strictEqual(copied.isBusy, false)
      assert.strictEqual(copied.checkpointedFrames, copied.logFrames)
      yield* connection.checkpoint("passive")
      assert.strictEqual((yield* connection.checkpoint("truncate")).isBusy, false)
      assert.strictEqual((yield* connection.identity).logBytes, 0)
      assert.strictEqual(ids(filename).length, 1_200)
    })
  ),

  connectionCase("reports a pinned reader instead of waiting for it", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      yield* connection.run([[insert(1)]], "process-crash")
      const reader = new Database(filename, { readonly: true })
      reader.exec("BEGIN")
      reader.prepare("SELECT count(*) FROM Parent").get()
      yield* connection.run([[insert(2)]], "process-crash")
      assert.ok((yield* connection.checkpoint("truncate")).isBusy)
      reader.close()
      assert.strictEqual((yield* connection.checkpoint("truncate")).isBusy, false)
    })
  ),

  connectionCase("tells a database file that was replaced from the one that is open", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const before = yield* connection.identity
      assert.notStrictEqual(before.database, undefined)
      fs.copyFileSync(filename, `${filename}.copy`)
      fs.renameSync(`${filename}.copy`, filename)
      assert.notStrictEqual((yield* connection.identity).database, before.database)
      fs.unlinkSync(filename)
      assert.strictEqual((yield* connection.identity).database, undefined)
    })
  ),

  connectionCase("fails to open with SQLite's own code, and leaves the file as it was", ({ make }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const missing = yield* Effect.flip(Effect.scoped(make(path.join(directory, "no", "such", "file.sqlite"))))
      assert.strictEqual(missing._tag, "EngineFault")
      const noDatabase = path.join(directory, "text.sqlite")
      fs.writeFileSync(
        noDatabase,
        "this is no database, but it is long enough to be read as a header of one. ".repeat(30)
      )
      const fault = yield* Effect.flip(Effect.scoped(make(noDatabase)))
      assert.strictEqual(fault.code, "SQLITE_NOTADB")
      assert.include(fs.readFileSync(noDatabase, "utf8"), "this is no database")
    })
  ),

  connectionCase(
    "waits for a file that another connection holds for a while, and opens a new one in WAL mode",
    ({ make }) =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const filename = path.join(directory, "new.sqlite")
        const foreign = new Database(filename)
        foreign.exec("CREATE TABLE Parent (id INTEGER PRIMARY KEY, name TEXT)")
        foreign.exec("BEGIN EXCLUSIVE")
        const opening = yield* Effect.fork(make(filename))
        const fault = yield* Effect.flip(make(filename, { openTimeout: "50 millis" }))
        assert.strictEqual(fault.code, "SQLITE_BUSY")
        assert.strictEqual(opening.unsafePoll(), null)
        foreign.exec("COMMIT")
        foreign.close()
        const connection = yield* Fiber.join(opening)
        assert.deepStrictEqual(tags(yield* connection.run([[insert(1)]], "power-loss")), ["Done"])
        assert.deepStrictEqual(readRows(filename, "PRAGMA journal_mode"), [{ journal_mode: "wal" }])
      })
  ),

  connectionCase("never shows a reader half a write", (world) =>
    Effect.gen(function* () {
      const { connection, filename } = yield* open(world)
      const writing = yield* Effect.fork(
        Effect.forEach(
          Array.from({ length: 100 }, (_, index) => index * 2),
          (id) => connection.run([[insert(id), insert(id + 1)]], "process-crash"),
          { discard: true }
        )
      )
      const reader = new Database(filename, { readonly: true })
      const count = reader.prepare("SELECT count(*) FROM Parent").pluck()
      while (writing.unsafePoll() === null) {
        assert.strictEqual(Number(count.get()) % 2, 0)
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }
      reader.close()
      yield* Fiber.join(writing)
      assert.strictEqual(ids(filename).length, 200)
    })
  )
]
