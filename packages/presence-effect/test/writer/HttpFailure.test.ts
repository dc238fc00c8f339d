import { assert, describe, it } from "@effect/vitest"
import * as HttpFailure from "../../src/writer/HttpFailure.ts"
import * as WriterError from "../../src/writer/WriterError.ts"
import { writerErrors } from "../support/writerErrors.ts"

const errors = Object.values(writerErrors)
const rejected = (code: string) =>
  new WriterError.WriteRejected({ ...writerErrors.WriteRejected, code, detail: "UNIQUE constraint failed: Machine.id" })

describe("HttpFailure", () => {
  it("answers every failure, with Retry-After exactly where waiting helps", () => {
    const answers = errors.map((error) => {
      const { body, headers, statusCode } = HttpFailure.make(error)
      assert.strictEqual(headers["retry-after"] !== undefined, body.retryable, error._tag)
      assert.strictEqual(body.retryAfterMs === undefined, !body.retryable, error._tag)
      assert.deepStrictEqual([body.code, body.written], [error._tag, error.written])
      return [error._tag, statusCode, headers["retry-after"]]
    })
    assert.deepStrictEqual(answers, [
      ["LaneOverflow", 503, "2"],
      ["PermitTimeout", 503, "1"],
      ["NestedPermit", 500, undefined],
      ["DatabaseBusy", 503, "1"],
      ["WriteUnconfirmed", 503, "1"],
      ["WriteConflict", 409, undefined],
      ["WriteRejected", 500, undefined],
      ["WriteUndecodable", 500, undefined],
      ["ConnectionLost", 503, "1"],
      ["ConnectionGone", 503, "5"],
      ["DatabaseFull", 503, "60"],
      ["DatabaseReadonly", 503, "60"],
      ["DatabaseIo", 503, "10"],
      ["DatabaseCorrupt", 500, undefined],
      ["DatabaseMoved", 503, "5"],
      ["WriterClosed", 503, "2"]
    ])
  })

  it("answers a violated constraint with 409, and any other refusal of a statement with 500", () => {
    for (const code of ["SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_FOREIGNKEY", "SQLITE_CONSTRAINT"]) {
      assert.deepStrictEqual(HttpFailure.make(rejected(code)), {
        statusCode: 409,
        headers: {},
        body: {
          error: "The write conflicts with stored data",
          code: "WriteRejected",
          written: "nothing",
          retryable: false
        }
      })
    }
    for (const code of ["SQLITE_ERROR", "PARAMETER"])
      assert.strictEqual(HttpFailure.make(rejected(code)).statusCode, 500)
  })

  it("never shows what the engine said", () => {
    for (const error of [...errors, rejected("SQLITE_CONSTRAINT_UNIQUE")]) {
      assert.notMatch(JSON.stringify(HttpFailure.make(error)), /secret|Hidden|Machine|SQLITE/, error._tag)
    }
  })

  it("is what the errors themselves carry, for any framework", () => {
    for (const error of [...errors, rejected("SQLITE_CONSTRAINT_UNIQUE")]) {
      const { retryAfterMillis, statusCode } = HttpFailure.termsOf(error)
      assert.deepStrictEqual([error.statusCode, error.retryAfterMillis], [statusCode, retryAfterMillis], error._tag)
    }
    // They are no fields: what an error is compared by and encoded as stays as it was.
    assert.deepStrictEqual(Object.keys(writerErrors.WriterClosed).toSorted(), [
      "_tag",
      "isRetryable",
      "lane",
      "written"
    ])
  })

  it("promises a client that it may come back wherever the writer would have tried again", () => {
    for (const error of errors) {
      if (error.isRetryable) assert.isDefined(error.retryAfterMillis, error._tag)
    }
  })

  it("spreads the moments to come back between once and twice the time, in whole seconds", () => {
    const header = (jitter: number) => HttpFailure.make(writerErrors.DatabaseFull, jitter).headers["retry-after"]
    assert.deepStrictEqual([header(0), header(0.501), header(1)], ["60", "91", "120"])
  })
})
