import { assert, describe, it } from "@effect/vitest"
import * as Lane from "../../../src/writer/Lane.ts"
import { constraintOf } from "../../../src/writer/internal/constraintCode.ts"
import { WriteRejected } from "../../../src/writer/WriterError.ts"

describe("the code of a constraint", () => {
  it.each([
    ["unique", ["SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505", "ER_DUP_ENTRY"]],
    ["foreign-key", ["SQLITE_CONSTRAINT_FOREIGNKEY", "23503", "ER_NO_REFERENCED_ROW_2", "ER_ROW_IS_REFERENCED_2"]],
    ["not-null", ["SQLITE_CONSTRAINT_NOTNULL", "23502", "ER_BAD_NULL_ERROR"]],
    ["check", ["SQLITE_CONSTRAINT_CHECK", "23514", "ER_CONSTRAINT_FAILED"]],
    ["other", ["SQLITE_CONSTRAINT_TRIGGER", "23P01"]],
    [undefined, ["SQLITE_ERROR", "42601", "22021", "ER_PARSE_ERROR", "PARAMETER", "CONFLICT"]]
  ] as const)("means %s on every engine", (constraint, codes) => {
    for (const code of codes) assert.strictEqual(constraintOf(code), constraint, code)
  })

  it("makes a refused write a conflict of the caller and not a mistake of the server", () => {
    const rejected = (code: string) => new WriteRejected({ lane: Lane.control, code, detail: "" })
    assert.deepInclude(rejected("23505"), { _tag: "WriteRejected" })
    assert.deepStrictEqual([rejected("23505").constraint, rejected("23505").statusCode], ["unique", 409])
    assert.deepStrictEqual([rejected("42601").constraint, rejected("42601").statusCode], [undefined, 500])
  })
})
