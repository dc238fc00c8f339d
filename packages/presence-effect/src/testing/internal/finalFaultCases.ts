import * as SqliteFault from "../../sqlite/SqliteFault.ts"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import type { EngineFault, Fault, SqliteConnection, WriteAnswer } from "../../writer/SqliteConnection.ts"
import type { Statement } from "../../writer/Write.ts"
import { connectionCase, readRows, temporaryDatabase } from "./connectionWorld.ts"
import * as assert from "./expect.ts"

type Connection = SqliteConnection["Type"]

const schema = `CREATE TABLE Left (id INTEGER PRIMARY KEY); CREATE TABLE Right (id INTEGER PRIMARY KEY);
  CREATE TABLE Late (id INTEGER REFERENCES Left(id) DEFERRABLE INITIALLY DEFERRED)`

const insert = (id: number, table = "Left"): ReadonlyArray<Statement> => [
  { sql: `INSERT INTO ${table} VALUES (?)`, params: [id], changes: 1 }
]

const faultIn = (answers: ReadonlyArray<WriteAnswer>): Effect.Effect<never, Fault | "done"> => {
  const [answer] = answers
  return Effect.fail(answer?._tag === "Failed" ? answer.fault : "done")
}

/** What a write fails with, as a whole or as one of its group; `"done"` when it is committed. */
const faultOf = (connection: Connection, write = insert(9)) =>
  Effect.flip(Effect.flatMap(connection.run([write], "power-loss"), faultIn))

const codeOf = (connection: Connection, write = insert(9)) =>
  Effect.map(faultOf(connection, write), (fault) => (fault === "done" ? fault : fault.code))

/** Every door is shut, each in the words of the fault that shut it, and nothing more reaches the disk. */
const assertStopped = (connection: Connection, filename: string, code: string) =>
  Effect.gen(function* () {
    const bytes = () => [filename, `${filename}-wal`].map((path) => (fs.existsSync(path) ? fs.readFileSync(path) : ""))
    const before = bytes()
    const doors = [
      connection.run([insert(1, "Right")], "power-loss"),
      connection.run([insert(2, "Right"), insert(3, "Right")], "process-crash"),
      connection.checkpoint("passive"),
      connection.copyLog,
      connection.compact(1),
      connection.space,
      connection.untilStopped
    ]
    for (const door of doors) {
      const fault = yield* Effect.flip<unknown, EngineFault, never>(door)
      assert.deepInclude(fault, { code, isFinal: true, phase: "queued" })
    }
    assert.deepStrictEqual(bytes(), before)
  })

const replaceOrRemove = [
  ["the database is deleted", "", (path: string) => fs.unlinkSync(path)],
  ["the database is replaced", "", (path: string) => replaceWithCopy(path)],
  ["the log is deleted", "-wal", (path: string) => fs.unlinkSync(path)],
  ["the log is replaced", "-wal", (path: string) => replaceWithCopy(path)]
] as const

const replaceWithCopy = (path: string) => {
  fs.copyFileSync(path, `${path}.copy`)
  fs.renameSync(`${path}.copy`, path)
}

/** What every adapter of `SqliteConnection` on a real file does when the file cannot be trusted any more. */
export const finalFaultCases = [
  ...replaceOrRemove.map(([what, suffix, harm]) =>
    connectionCase(`confirms no commit after ${what}, and stops`, ({ make }) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const connection = yield* make(filename)
        assert.strictEqual(yield* codeOf(connection, insert(1)), "done")
        const isStopped = yield* Effect.fork(Effect.flip(connection.untilStopped))
        harm(`${filename}${suffix}`)
        const fault = yield* faultOf(connection, insert(2))
        assert.deepInclude(fault, { code: "MOVED", phase: "commit", isFinal: true })
        assert.include(fault === "done" ? "" : fault.detail, `${filename}${suffix} was`)
        assert.strictEqual((yield* Fiber.join(isStopped)).code, "MOVED")
        yield* assertStopped(connection, filename, "MOVED")
      })
    )
  ),

  connectionCase("writes no more of a group whose writes are tried alone once it has found out", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const connection = yield* make(filename)
      yield* connection.run([insert(1)], "power-loss")
      fs.renameSync(filename, `${filename}.moved`)
      // The first fails the commit of all, so that each gets one of its own.
      const answers = yield* connection.run([insert(99, "Late"), insert(2), insert(3)], "power-loss")
      const faults = answers.map((answer) =>
        answer._tag === "Failed" ? [answer.fault.code, answer.fault.phase] : "done"
      )
      assert.deepStrictEqual(faults, [
        ["SQLITE_CONSTRAINT_FOREIGNKEY", "commit"],
        ["MOVED", "commit"],
        ["MOVED", "queued"]
      ])
      yield* assertStopped(connection, filename, "MOVED")
    })
  ),

  connectionCase("does not copy a log into a database that was replaced", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const connection = yield* make(filename)
      yield* connection.run([insert(1)], "power-loss")
      replaceWithCopy(filename)
      const before = fs.readFileSync(filename)
      assert.strictEqual((yield* Effect.flip(connection.checkpoint("truncate"))).code, "MOVED")
      assert.deepStrictEqual(fs.readFileSync(filename), before)
    })
  ),

  connectionCase("does not take its own checkpoints for a replacement", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const connection = yield* make(filename)
      for (let id = 1; id <= 5; id++) {
        assert.strictEqual(yield* codeOf(connection, insert(id)), "done")
        yield* connection.copyLog
        assert.strictEqual((yield* connection.checkpoint(id % 2 === 0 ? "passive" : "truncate")).isBusy, false)
      }
      yield* connection.run([[{ sql: "INSERT INTO Missing VALUES (1)", params: [], changes: "any" }]], "power-loss")
      assert.strictEqual(yield* codeOf(connection, insert(6)), "done")
      assert.strictEqual(readRows(filename, "SELECT * FROM Left").length, 6)
    })
  ),

  connectionCase("writes nothing more into a file that turned out damaged", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const root = Number(readRows(filename, "SELECT rootpage FROM sqlite_master WHERE name = 'Left'")[0]?.["rootpage"])
      const file = fs.openSync(filename, "r+")
      fs.writeSync(file, Buffer.alloc(4_096, 0xa5), 0, 4_096, (root - 1) * 4_096)
      fs.closeSync(file)
      const connection = yield* make(filename)
      assert.strictEqual(yield* codeOf(connection, insert(1, "Right")), "done")
      // In a group each write would get its own answer, and so its own attempt.
      const fault = yield* Effect.flip(connection.run([insert(1), insert(2)], "power-loss"))
      assert.deepInclude(fault, { code: "SQLITE_CORRUPT", isFinal: true })
      yield* assertStopped(connection, filename, "SQLITE_CORRUPT")
    })
  ),

  connectionCase("does not touch a file that another reader found damaged", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const connection = yield* make(filename)
      assert.strictEqual(yield* codeOf(connection, insert(1)), "done")
      const isStopped = yield* Effect.fork(Effect.flip(connection.untilStopped))
      yield* connection.stop(
        SqliteFault.make({ code: "SQLITE_CORRUPT", detail: "met by a reader", phase: "statement" })
      )
      assert.deepInclude(yield* Fiber.join(isStopped), { code: "SQLITE_CORRUPT", detail: "met by a reader" })
      yield* connection.stop(SqliteFault.make({ code: "GONE", detail: "later", phase: "queued" }))
      yield* assertStopped(connection, filename, "SQLITE_CORRUPT")
    })
  ),

  connectionCase(
    "opens the file again after an input/output error, and stops when the next meets one too",
    ({ make }) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const connection = yield* make(filename)
        const foreign = new Database(filename)
        yield* Effect.addFinalizer(() => Effect.sync(() => foreign.close()))
        let id = 0
        /** A log that ends too early: what is in it cannot be read, until it is put back in place. */
        const cutLog = () => {
          // From another connection, so that this one must read it.
          foreign.prepare("INSERT INTO Left VALUES (?)").run(++id)
          const bytes = fs.readFileSync(`${filename}-wal`)
          fs.truncateSync(`${filename}-wal`, 0)
          return () => fs.writeFileSync(`${filename}-wal`, bytes, { flag: "r+" })
        }
        // Of the connection, so that it tells one from the next.
        const mark = [{ sql: "CREATE TEMP TABLE Mark (id)", params: [], changes: "any" as const }]
        const use = [{ sql: "INSERT INTO Mark VALUES (1)", params: [], changes: "any" as const }]
        for (let round = 0; round < 2; round++) {
          assert.strictEqual(yield* codeOf(connection, mark), "done")
          assert.strictEqual(yield* codeOf(connection, use), "done")
          const putBack = cutLog()
          const fault = yield* faultOf(connection, insert(100))
          assert.deepInclude(fault, { code: "SQLITE_IOERR_SHORT_READ" })
          assert.ok(fault === "done" || fault.isFinal === undefined)
          putBack()
          assert.strictEqual(yield* codeOf(connection, insert(++id)), "done")
          assert.strictEqual(yield* codeOf(connection, use), "SQLITE_ERROR", "the connection is a new one")
        }
        cutLog()
        yield* faultOf(connection, insert(100))
        assert.deepInclude(yield* faultOf(connection, insert(100)), { code: "SQLITE_IOERR_SHORT_READ", isFinal: true })
        yield* assertStopped(connection, filename, "SQLITE_IOERR_SHORT_READ")
      })
  ),

  connectionCase("writes nothing while less than the reserve is free, but copies and empties the log", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const connection = yield* make(filename, { freeReserveBytes: Number.MAX_SAFE_INTEGER })
      const fault = yield* Effect.flip(connection.run([insert(1), insert(2)], "power-loss"))
      assert.deepInclude(fault, { code: "RESERVE", phase: "begin" })
      assert.match(fault.detail, /^\d+ bytes are free, and 0 in the file; 9007199254740991 are kept in reserve$/)
      assert.strictEqual((yield* connection.checkpoint("truncate")).isBusy, false)
      yield* connection.copyLog
      assert.deepStrictEqual(readRows(filename, "SELECT * FROM Left"), [])
    })
  ),

  connectionCase("runs what may use the reserve while less is free, and refuses what stands beside it", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(`${schema}; INSERT INTO Left VALUES (1), (2), (3)`)
      const connection = yield* make(filename, { freeReserveBytes: Number.MAX_SAFE_INTEGER })
      const marked = (write: ReadonlyArray<Statement>) =>
        write.map((statement) => ({ ...statement, usesReserve: true }))
      const remove = (id: number): ReadonlyArray<Statement> => [
        { sql: "DELETE FROM Left WHERE id = ?", params: [id], changes: 1 }
      ]
      const mixed = [...marked(remove(3)), ...insert(9)]
      const answers = yield* connection.run(
        [marked(remove(1)), insert(8), mixed, marked(remove(7)), marked(remove(2))],
        "power-loss"
      )
      assert.deepStrictEqual(
        answers.map((answer) => (answer._tag === "Done" ? "Done" : answer.fault.code)),
        ["Done", "RESERVE", "RESERVE", "CONFLICT", "Done"]
      )
      assert.deepStrictEqual(readRows(filename, "SELECT * FROM Left"), [{ id: 3 }])
      const [alone] = yield* connection.run([marked(remove(3))], "power-loss")
      assert.strictEqual(alone?._tag, "Done")
    })
  )
]
