import { assert, describe, it } from "@effect/vitest"
import { sqlite } from "../../src/database/Dialect.ts"
import { postgres } from "../../src/database/PostgresDialect.ts"

describe("the dialects", () => {
  it("number the parameters of PostgreSQL, and leave those of SQLite", () => {
    const sql = `SELECT "a?b" FROM "t" WHERE "x" = ? AND "y" = 'it''s ?' -- what?\n AND "z" > ?`
    assert.strictEqual(sqlite.text(sql), sql)
    const numbered = `SELECT "a?b" FROM "t" WHERE "x" = $1 AND "y" = 'it''s ?' -- what?\n AND "z" > $2`
    assert.strictEqual(postgres.text(sql), numbered)
    assert.strictEqual(postgres.text(sql), numbered, "remembered")
    assert.strictEqual(postgres.text("SELECT $1"), "SELECT $1")
  })

  it("have the same words", () => {
    assert.sameMembers(Object.keys(postgres), Object.keys(sqlite))
    assert.sameMembers(Object.keys(postgres.usage), Object.keys(sqlite.usage))
  })
})
