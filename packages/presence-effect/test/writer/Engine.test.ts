import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { EngineFault } from "../../src/writer/Engine.ts"
import { EngineFault as OfSqlite } from "../../src/writer/SqliteConnection.ts"

const below = (folder: string) => path.join(import.meta.dirname, "../..", folder)

describe("Engine", () => {
  it("has one suite, and the engine of every server is held to it", () => {
    for (const name of ["postgres/PostgresEngine", "mysql/MysqlEngine"]) {
      assert.include(fs.readFileSync(below(`src/${name}.ts`), "utf8"), "Layer.scoped(Engine, make(options))")
      assert.match(fs.readFileSync(below(`test/${name}.test.ts`), "utf8"), /\bengineSuite\(/)
    }
  })

  it("has the faults of the connection to SQLite", () => {
    assert.strictEqual(EngineFault, OfSqlite)
    const fault = new EngineFault({ reason: "Busy", code: "40P01", detail: "deadlock detected", phase: "statement" })
    assert.strictEqual(fault.message, "deadlock detected (40P01)")
  })
})
