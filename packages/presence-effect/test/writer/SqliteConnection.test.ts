import * as SqliteFault from "../../src/sqlite/SqliteFault.ts"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as SqliteInProcess from "../../src/node/SqliteInProcess.ts"
import { SqliteConnection } from "../../src/writer/SqliteConnection.ts"
import * as SimulatedConnection from "../../src/testing/SimulatedConnection.ts"
import { temporaryDatabase } from "../support/temporaryFile.ts"

const below = (folder: string) => path.join(import.meta.dirname, folder)

describe("SqliteConnection", () => {
  it("has one contract, and every adapter on a real file is held to it", () => {
    const adapters = fs
      .readdirSync(below("../../src/node"))
      .filter((file) => file.endsWith(".ts"))
      .filter((file) =>
        fs.readFileSync(path.join(below("../../src/node"), file), "utf8").includes("SqliteConnection.of(")
      )
    assert.sameMembers(adapters, ["SqliteInProcess.ts", "SqliteThread.ts"])
    for (const adapter of adapters) {
      const name = adapter.replace(".ts", "")
      const test = fs.readFileSync(path.join(below("../node"), `${name}.test.ts`), "utf8")
      assert.match(test, new RegExp(`Contract\\.suite\\([^=]*=>\\s*${name}\\.make\\(`))
    }
  })

  it.scopedLive("is one port: the same call means the same on a file and in a simulation", () =>
    Effect.gen(function* () {
      const filename = yield* temporaryDatabase("CREATE TABLE T (id INTEGER PRIMARY KEY)")
      const simulation = yield* SimulatedConnection.make()
      const call = Effect.flatMap(SqliteConnection, (connection) =>
        connection.run([[{ sql: "INSERT INTO T VALUES (1)", params: [], changes: 1 }]], "power-loss")
      )
      const answer = [{ _tag: "Done", results: [{ rows: [], changes: 1 }] }]
      assert.deepStrictEqual<unknown>(yield* Effect.provide(call, SqliteInProcess.layer({ filename })), answer)
      assert.deepStrictEqual<unknown>(yield* Effect.provide(call, simulation.layer), answer)
    })
  )

  describe("EngineFault", () => {
    it("is a failure with SQLite's code, its words and how far the call had come", () => {
      const conflict = { statement: 1, expected: "some", changed: 0 } as const
      const fault = SqliteFault.make({ code: "CONFLICT", detail: "UPDATE …", phase: "statement", conflict })
      assert.deepInclude(fault, {
        _tag: "EngineFault",
        code: "CONFLICT",
        detail: "UPDATE …",
        phase: "statement",
        conflict
      })
      assert.instanceOf(fault, Error)
      assert.strictEqual(fault.reason, "Conflict")
    })
  })
})
