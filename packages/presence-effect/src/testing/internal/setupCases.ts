import * as Effect from "effect/Effect"
import { connectionCase, readRows, temporaryDatabase } from "./connectionWorld.ts"
import * as assert from "./expect.ts"

const schema = "CREATE TABLE T (id INTEGER PRIMARY KEY); CREATE TABLE Seen (id INTEGER PRIMARY KEY)"

/** Counts the rows of T in Seen, and refuses a seventh. */
const setup = [
  `CREATE TEMP TRIGGER note AFTER INSERT ON main.T BEGIN
    INSERT INTO Seen VALUES (NEW.id);
    SELECT RAISE(ABORT, 'seven') WHERE NEW.id = 7;
  END`
]

const insert = (id: number) => [{ sql: "INSERT INTO T VALUES (?)", params: [id], changes: 1 as const }]

/** What every adapter on a real file does with the statements that prepare its connection. */
export const setupCases = [
  connectionCase(
    "has the temporary triggers of its setup, which belong to each write and not to the file",
    ({ make }) =>
      Effect.gen(function* () {
        const filename = yield* temporaryDatabase(schema)
        const connection = yield* make(filename, { setup })
        const answers = yield* connection.run([insert(1), insert(7), insert(2)], "power-loss")
        assert.deepStrictEqual(
          answers.map((answer) => (answer._tag === "Done" ? "Done" : `${answer.fault.code} ${answer.fault.detail}`)),
          ["Done", "SQLITE_CONSTRAINT_TRIGGER seven", "Done"]
        )
        const [alone] = yield* connection.run([insert(7)], "power-loss")
        assert.deepInclude(alone, { _tag: "Failed" })
        assert.deepStrictEqual(readRows(filename, "SELECT id FROM Seen"), [{ id: 1 }, { id: 2 }])
        assert.deepStrictEqual(readRows(filename, "SELECT name FROM sqlite_schema WHERE type = 'trigger'"), [])
      })
  ),

  connectionCase("is not opened when its setup fails", ({ make }) =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const fault = yield* Effect.flip(make(filename, { setup: ["CREATE TEMP TRIGGER no AFTER INSERT ON None BEGIN"] }))
      assert.deepInclude(fault, { reason: "Rejected", phase: "queued" })
    })
  )
]
