import { assert, describe, it } from "@effect/vitest"
import * as SqliteFault from "../../src/sqlite/SqliteFault.ts"
import { EngineFault } from "../../src/writer/SqliteConnection.ts"

describe("SqliteFault", () => {
  it("gives a result code its reason and keeps the code for the log", () => {
    const fault = SqliteFault.make({ code: "SQLITE_CORRUPT_INDEX", detail: "met by a reader", phase: "queued" })
    assert.instanceOf(fault, EngineFault)
    assert.deepInclude(fault, { reason: "Corrupt", code: "SQLITE_CORRUPT_INDEX", phase: "queued" })
    assert.strictEqual(fault.message, "met by a reader (SQLITE_CORRUPT_INDEX)")
  })

  it("names a conflict whatever the code says", () => {
    const conflict = { statement: 1, expected: "some", changed: 0 } as const
    assert.strictEqual(
      SqliteFault.make({ code: "SQLITE_BUSY", detail: "", phase: "statement", conflict }).reason,
      "Conflict"
    )
  })
})
