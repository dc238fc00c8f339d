import { assert, describe, it } from "@effect/vitest"
import * as Lane from "presence-effect/writer/Lane"
import * as WriterError from "presence-effect/writer/WriterError"
import { ReadFailed, ReadOverflow, ReadTimeout } from "../../src/database/ReadFailure.ts"
import * as Failure from "../../src/Failure.ts"
import * as FailureTable from "../../src/http/FailureTable.ts"
import { codes, table } from "../Document.ts"

const lane = Lane.control
const engine = { lane, code: "SQLITE_X", detail: "detail" }

/** One of each. A new failure does not compile until it is here. */
const samples: {
  readonly [Tag in FailureTable.Failure["_tag"]]: Extract<FailureTable.Failure, { readonly _tag: Tag }>
} = {
  LaneOverflow: new WriterError.LaneOverflow({ lane, waiterCount: 1, capacity: 1 }),
  PermitTimeout: new WriterError.PermitTimeout({ lane, waitedMillis: 1 }),
  NestedPermit: new WriterError.NestedPermit({ lane, holder: lane }),
  DatabaseBusy: new WriterError.DatabaseBusy({ lane, code: "SQLITE_BUSY", attempts: 2 }),
  WriteUnconfirmed: new WriterError.WriteUnconfirmed({ lane, reason: "hold-limit", heldMillis: 1 }),
  WriteConflict: new WriterError.WriteConflict({ lane, statement: 0, expected: 1, changed: 0 }),
  WriteRejected: new WriterError.WriteRejected(engine),
  WriteUndecodable: new WriterError.WriteUndecodable({ lane, detail: "detail" }),
  ConnectionLost: new WriterError.ConnectionLost({ lane, detail: "detail" }),
  ConnectionGone: new WriterError.ConnectionGone({ lane, detail: "detail" }),
  DatabaseFull: new WriterError.DatabaseFull(engine),
  DatabaseReadonly: new WriterError.DatabaseReadonly(engine),
  DatabaseIo: new WriterError.DatabaseIo({ ...engine, written: "unknown" }),
  DatabaseCorrupt: new WriterError.DatabaseCorrupt(engine),
  DatabaseMoved: new WriterError.DatabaseMoved({ lane, detail: "detail" }),
  WriterClosed: new WriterError.WriterClosed({ lane }),
  ReadFailed: new ReadFailed({ code: "SQLITE_X", detail: "detail" }),
  ReadOverflow: new ReadOverflow({ readClass: "list", limit: 128 }),
  ReadTimeout: new ReadTimeout({ readClass: "list", limitMillis: 4000 }),
  Unauthorized: new Failure.Unauthorized({ error: "Invalid token" }),
  AccountDisabled: new Failure.AccountDisabled({ accountId: "a1" }),
  Forbidden: new Failure.Forbidden({ error: "forbidden" }),
  NotFound: new Failure.NotFound({ what: "Machine" }),
  Conflict: new Failure.Conflict({ error: "Access key already exists" }),
  InvalidInput: new Failure.InvalidInput({ error: "both or none" }),
  MachineIdConflict: new Failure.MachineIdConflict(),
  MachineRevoked: new Failure.MachineRevoked(),
  CursorGone: new Failure.CursorGone({ currentCursor: 7 }),
  RequestUnreadable: new Failure.RequestUnreadable({ status: 413, message: "too large" }),
  RouteUnknown: new Failure.RouteUnknown({ path: "/v9", method: "GET" }),
  RequestDefect: new Failure.RequestDefect(),
  QuotaExceeded: new Failure.QuotaExceeded({ quota: "bytes", limit: 1_000_000 }),
  TooManyRequests: new Failure.TooManyRequests({ retryAfterMillis: 1500 }),
  SocketOverflow: new Failure.SocketOverflow(),
  LoopOverload: new Failure.LoopOverload({ delayMillis: 700 }),
  Draining: new Failure.Draining(),
  AnswerTimeout: new Failure.AnswerTimeout({ limitMillis: 9000 })
}

const failures = Object.values(samples)

describe("FailureTable", () => {
  it("has a string for old clients, whatever failed", () => {
    for (const failure of failures) {
      const { body } = FailureTable.toHttp(failure)
      assert.isString(body.error, failure._tag)
      assert.isAbove(body.error.length, 0, failure._tag)
    }
  })

  it("never shows the message of the engine", () => {
    for (const failure of failures) {
      assert.notInclude(JSON.stringify(FailureTable.toHttp(failure).body), "detail", failure._tag)
    }
  })

  it("sends Retry-After exactly with failures that may be tried again, and the same time in the body", () => {
    for (const failure of failures) {
      const { body, retryAfterMillis, status } = FailureTable.toHttp(failure)
      assert.strictEqual(body["retryAfterMs"], retryAfterMillis, failure._tag)
      assert.strictEqual(body["retryable"] === true, retryAfterMillis !== undefined, failure._tag)
      if (status === 503 || status === 429) assert.isDefined(retryAfterMillis, failure._tag)
    }
  })

  it("answers 500 for a row that does not fit, which no other moment changes", () => {
    const misfit = new ReadFailed({ code: "UNDECODABLE", detail: "detail" })
    assert.isFalse(misfit.isRetryable)
    assert.deepStrictEqual(FailureTable.toHttp(misfit), {
      status: 500,
      retryAfterMillis: undefined,
      body: { error: "What is stored cannot be read", code: "ReadFailed", retryable: false }
    })
  })

  it("answers a read that found damage like a write that found it: retrying does not repair the file", () => {
    for (const code of ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB"]) {
      const damaged = new ReadFailed({ code, detail: "detail" })
      assert.isFalse(damaged.isRetryable)
      assert.deepStrictEqual(FailureTable.toHttp(damaged), FailureTable.toHttp(samples.DatabaseCorrupt))
    }
  })

  it("spreads the moment to come back between once and twice the base", () => {
    assert.strictEqual(FailureTable.toHttp(samples.DatabaseFull, 0).retryAfterMillis, 60_000)
    assert.strictEqual(FailureTable.toHttp(samples.DatabaseFull, 0.5).retryAfterMillis, 90_000)
    assert.strictEqual(FailureTable.toHttp(samples.DatabaseFull, 1).retryAfterMillis, 120_000)
  })

  it("answers with the texts of the protocol", () => {
    assert.deepStrictEqual(FailureTable.toHttp(samples.Unauthorized), {
      status: 401,
      retryAfterMillis: undefined,
      body: { error: "Invalid token" }
    })
    assert.deepStrictEqual(FailureTable.toHttp(samples.NotFound).body, { error: "Machine not found" })
    assert.deepStrictEqual(FailureTable.toHttp(samples.MachineIdConflict).body, {
      error: "machine_id_conflict",
      message: "This machine id belongs to another account"
    })
    assert.deepStrictEqual(FailureTable.toHttp(samples.DatabaseBusy).body, {
      error: "The database is busy",
      code: "DatabaseBusy",
      retryable: true,
      retryAfterMs: 1000
    })
  })

  it("is documented line by line: tag, status, time to wait, and what was written", () => {
    const rows = table("errors.md", "Tag")
    assert.deepStrictEqual(
      rows.map(([tag]) => codes(tag)[0]),
      [...FailureTable.tags]
    )
    for (const [index, [, status, retryAfter, written]] of rows.entries()) {
      const failure = failures.find(({ _tag }) => _tag === FailureTable.tags[index])
      if (failure === undefined) throw new Error(`no sample of ${FailureTable.tags[index]}`)
      const answer = FailureTable.toHttp(failure)
      assert.include((status ?? "").split(", "), String(answer.status), failure._tag)
      if (failure._tag !== "TooManyRequests") {
        const documented = retryAfter === "" ? undefined : Number.parseInt(retryAfter ?? "", 10) * 1000
        assert.strictEqual(documented, answer.retryAfterMillis, failure._tag)
      }
      if ("written" in failure) assert.include(written, failure.written, failure._tag)
    }
  })
})
