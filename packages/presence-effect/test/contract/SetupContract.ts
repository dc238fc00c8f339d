import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { SqliteOptions } from "../../src/node/SqliteOptions.ts"
import type { EngineFault, SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import { readRows, temporaryDatabase } from "../support/temporaryFile.ts"

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
export const suite = (
  make: (
    filename: string,
    options?: Partial<SqliteOptions>
  ) => Effect.Effect<SqliteConnection["Type"], EngineFault, Scope.Scope>
): void => {
  it.scopedLive("has the temporary triggers of its setup, which belong to each write and not to the file", () =>
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
  )

  it.scopedLive("is not opened when its setup fails", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase(schema)
      const fault = yield* Effect.flip(make(filename, { setup: ["CREATE TEMP TRIGGER no AFTER INSERT ON None BEGIN"] }))
      assert.deepInclude(fault, { reason: "Rejected", phase: "queued" })
    })
  )
}
