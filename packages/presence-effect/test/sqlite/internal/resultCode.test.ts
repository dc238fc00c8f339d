import { assert, describe, it } from "@effect/vitest"
import { faultOfCode, isBusyFailure, reasonOf } from "../../../src/sqlite/internal/resultCode.ts"
import { toWriterError } from "../../../src/writer/internal/engineFailure.ts"
import * as Lane from "../../../src/writer/Lane.ts"
import type { WriterError, Written } from "../../../src/writer/WriterError.ts"

const attempt = { lane: Lane.data, attempts: 3, heldMillis: 12.5 }
const phases = ["queued", "begin", "statement", "commit"] as const
type Phase = (typeof phases)[number]

const errorOf = (code: string, phase: Phase, detail = "what SQLite says") =>
  toWriterError(faultOfCode({ code, detail, phase }), attempt)

/** SQLite's result codes, and what this library makes of them in every phase. */
const table: ReadonlyArray<readonly [tag: WriterError["_tag"], written: Written, codes: ReadonlyArray<string>]> = [
  [
    "DatabaseBusy",
    "nothing",
    [
      "SQLITE_BUSY",
      "SQLITE_BUSY_RECOVERY",
      "SQLITE_BUSY_SNAPSHOT",
      "SQLITE_BUSY_TIMEOUT",
      "SQLITE_LOCKED",
      "SQLITE_LOCKED_SHAREDCACHE",
      "SQLITE_LOCKED_VTAB",
      "SQLITE_PROTOCOL"
    ]
  ],
  ["DatabaseMoved", "nothing", ["SQLITE_READONLY_DBMOVED"]],
  ["DatabaseFull", "nothing", ["SQLITE_FULL", "RESERVE"]],
  ["ConnectionGone", "nothing", ["GONE"]],
  [
    "DatabaseReadonly",
    "nothing",
    [
      "SQLITE_READONLY",
      "SQLITE_READONLY_CANTINIT",
      "SQLITE_READONLY_CANTLOCK",
      "SQLITE_READONLY_DIRECTORY",
      "SQLITE_READONLY_RECOVERY",
      "SQLITE_READONLY_ROLLBACK",
      "SQLITE_CANTOPEN",
      "SQLITE_CANTOPEN_ISDIR",
      "SQLITE_PERM"
    ]
  ],
  [
    "DatabaseCorrupt",
    "nothing",
    ["SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_CORRUPT_VTAB", "SQLITE_CORRUPT_SEQUENCE", "SQLITE_NOTADB"]
  ],
  [
    "WriteRejected",
    "nothing",
    [
      "SQLITE_ERROR",
      "SQLITE_CONSTRAINT",
      "SQLITE_CONSTRAINT_CHECK",
      "SQLITE_CONSTRAINT_FOREIGNKEY",
      "SQLITE_CONSTRAINT_NOTNULL",
      "SQLITE_CONSTRAINT_PRIMARYKEY",
      "SQLITE_CONSTRAINT_UNIQUE",
      "SQLITE_MISMATCH",
      "SQLITE_MISUSE",
      "SQLITE_RANGE",
      "SQLITE_TOOBIG",
      "SQLITE_AUTH",
      "SQLITE_SCHEMA",
      "A_CODE_NOBODY_KNOWS"
    ]
  ]
]

const inputOutput = [
  "SQLITE_IOERR",
  "SQLITE_IOERR_FSYNC",
  "SQLITE_IOERR_READ",
  "SQLITE_IOERR_WRITE",
  "SQLITE_IOERR_SHORT_READ",
  "SQLITE_NOMEM",
  "SQLITE_INTERRUPT",
  "SQLITE_INTERNAL",
  "SQLITE_NOLFS",
  "STAT"
]

describe("resultCode", () => {
  describe("toWriterError", () => {
    for (const [tag, written, codes] of table) {
      it.each([...codes])(`makes ${tag} of %s, with ${written} written, in every phase`, (code) => {
        for (const phase of phases) {
          const error = errorOf(code, phase)
          assert.deepInclude<object>(error, { _tag: tag, lane: Lane.data, written })
          assert.strictEqual(error.isRetryable, tag === "DatabaseBusy")
        }
      })
    }

    it.each(inputOutput)("makes DatabaseIo of %s, and does not know the outcome when the commit met it", (code) => {
      for (const phase of phases) {
        const written = phase === "commit" ? "unknown" : "nothing"
        assert.deepInclude(errorOf(code, phase), { _tag: "DatabaseIo", lane: Lane.data, code, written })
      }
    })

    it("does not know the outcome of a commit into files that were moved", () => {
      assert.deepInclude(errorOf("MOVED", "queued"), { _tag: "DatabaseMoved", written: "nothing" })
      assert.deepInclude(errorOf("MOVED", "commit"), { _tag: "DatabaseMoved", written: "unknown" })
    })

    it("knows of a lost connection whether the engine had seen the write", () => {
      assert.deepInclude(errorOf("LOST", "queued"), { _tag: "ConnectionLost", isRetryable: true, written: "nothing" })
      for (const phase of ["begin", "statement", "commit"] as const) {
        assert.deepInclude(errorOf("LOST", phase), {
          _tag: "WriteUnconfirmed",
          reason: "connection-lost",
          heldMillis: 12.5,
          written: "unknown"
        })
      }
    })

    it("names the statement that changed another number of rows, whatever the code says", () => {
      const conflict = { statement: 4, expected: 1, changed: 2 } as const
      for (const code of ["CONFLICT", "SQLITE_BUSY"]) {
        const fault = faultOfCode({ code, detail: "UPDATE …", phase: "statement", conflict })
        assert.deepInclude(toWriterError(fault, attempt), { _tag: "WriteConflict", lane: Lane.data, ...conflict })
      }
    })

    it("keeps the code, the attempts and SQLite's own words", () => {
      assert.deepInclude(errorOf("SQLITE_BUSY_SNAPSHOT", "begin"), { code: "SQLITE_BUSY_SNAPSHOT", attempts: 3 })
      assert.include(
        errorOf("SQLITE_FULL", "statement", "database or disk is full").message,
        "database or disk is full"
      )
    })
  })

  describe("reasonOf", () => {
    it("is busy for a lock in the way and for nothing else", () => {
      const codes = [...table.flatMap(([, , some]) => some), ...inputOutput, "LOST", "", "NOT_SQLITE_BUSY"]
      assert.deepStrictEqual(
        codes.filter((code) => reasonOf(code) === "Busy"),
        [...(table[0]?.[2] ?? [])]
      )
    })

    it("does not take a code it does not know for the statement's own", () => {
      assert.deepStrictEqual(["A_CODE_NOBODY_KNOWS", "SQLITE_SCHEMA", "SQLITE_ERROR_RETRY", ""].map(reasonOf), [
        "Unknown",
        "Unknown",
        "Unknown",
        "Unknown"
      ])
    })
  })

  describe("isBusyFailure", () => {
    it("finds the code however deep a client of the host has wrapped it", () => {
      const driver = Object.assign(new Error("database is locked"), { code: "SQLITE_BUSY" })
      assert.isTrue(isBusyFailure(driver))
      assert.isTrue(isBusyFailure(new Error("query failed", { cause: driver })))
      assert.isTrue(isBusyFailure({ code: "P2034", cause: { cause: driver } }))
      const adapter = { name: "DriverAdapterError", cause: { originalCode: "SQLITE_BUSY", kind: "SocketTimeout" } }
      assert.isTrue(isBusyFailure({ code: "P1008", meta: { driverAdapterError: adapter } }))
    })

    it("ends on what is no failure of a database, and on causes that go in circles", () => {
      const circle: { cause?: unknown } = {}
      circle.cause = circle
      const others = [undefined, null, "SQLITE_BUSY", 5, {}, { code: 5 }, { code: "SQLITE_FULL" }, circle]
      assert.deepStrictEqual(
        others.filter((one) => isBusyFailure(one)),
        []
      )
    })
  })
})
