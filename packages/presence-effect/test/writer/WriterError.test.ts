import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Lane from "../../src/writer/Lane.ts"
import * as WriterError from "../../src/writer/WriterError.ts"

const lane = Lane.control
const engine = { lane, code: "SQLITE_X", detail: "what SQLite says" }

interface Expected {
  readonly error: WriterError.WriterError
  readonly isRetryable: boolean
  readonly written: WriterError.Written
  /** What an operator looks for in the message. */
  readonly says: ReadonlyArray<string>
}

/** One of each tag: a tag without a row here does not compile. */
const everyError: { readonly [Tag in WriterError.WriterError["_tag"]]: Expected } = {
  LaneOverflow: {
    error: new WriterError.LaneOverflow({ lane, waiterCount: 256, capacity: 200 }),
    isRetryable: false,
    written: "nothing",
    says: ["control", "256", "200"]
  },
  PermitTimeout: {
    error: new WriterError.PermitTimeout({ lane, waitedMillis: 500.5 }),
    isRetryable: false,
    written: "nothing",
    says: ["control", "500.5 ms"]
  },
  NestedPermit: {
    error: new WriterError.NestedPermit({ lane, holder: Lane.data }),
    isRetryable: false,
    written: "nothing",
    says: ["control", "data", "holds the permit"]
  },
  DatabaseBusy: {
    error: new WriterError.DatabaseBusy({ lane, code: "SQLITE_BUSY_SNAPSHOT", attempts: 31 }),
    isRetryable: true,
    written: "nothing",
    says: ["control", "SQLITE_BUSY_SNAPSHOT", "31", "another connection"]
  },
  WriteUnconfirmed: {
    error: new WriterError.WriteUnconfirmed({ lane, reason: "hold-limit", heldMillis: 501 }),
    isRetryable: false,
    written: "unknown",
    says: ["control", "hold-limit", "501 ms", "unknown"]
  },
  WriteConflict: {
    error: new WriterError.WriteConflict({ lane, statement: 2, expected: "some", changed: 0 }),
    isRetryable: false,
    written: "nothing",
    says: ["statement 2", "changed 0", "some", "rolled back"]
  },
  WriteRejected: {
    error: new WriterError.WriteRejected(engine),
    isRetryable: false,
    written: "nothing",
    says: ["SQLITE_X", "what SQLite says"]
  },
  WriteUndecodable: {
    error: new WriterError.WriteUndecodable({ lane, detail: "Expected string, actual 5" }),
    isRetryable: false,
    written: "everything",
    says: ["committed", "Expected string, actual 5"]
  },
  ConnectionLost: {
    error: new WriterError.ConnectionLost({ lane, detail: "the thread died" }),
    isRetryable: true,
    written: "nothing",
    says: ["the thread died"]
  },
  ConnectionGone: {
    error: new WriterError.ConnectionGone({ lane, detail: "the thread died 5 times" }),
    isRetryable: false,
    written: "nothing",
    says: ["given up", "the thread died 5 times"]
  },
  DatabaseFull: {
    error: new WriterError.DatabaseFull(engine),
    isRetryable: false,
    written: "nothing",
    says: ["no space", "SQLITE_X", "what SQLite says"]
  },
  DatabaseReadonly: {
    error: new WriterError.DatabaseReadonly(engine),
    isRetryable: false,
    written: "nothing",
    says: ["cannot be written", "SQLITE_X", "what SQLite says"]
  },
  DatabaseIo: {
    error: new WriterError.DatabaseIo({ ...engine, written: "unknown" }),
    isRetryable: false,
    written: "unknown",
    says: ["SQLITE_X", "written: unknown", "what SQLite says"]
  },
  DatabaseCorrupt: {
    error: new WriterError.DatabaseCorrupt(engine),
    isRetryable: false,
    written: "nothing",
    says: ["damaged", "SQLITE_X", "what SQLite says"]
  },
  DatabaseMoved: {
    error: new WriterError.DatabaseMoved({ lane, detail: "inode 7 became 8" }),
    isRetryable: false,
    written: "nothing",
    says: ["moved or replaced", "inode 7 became 8"]
  },
  WriterClosed: {
    error: new WriterError.WriterClosed({ lane }),
    isRetryable: false,
    written: "nothing",
    says: ["control", "closed"]
  }
}

const encode = Schema.encodeSync(WriterError.WriterError)
const decode = Schema.decodeUnknownSync(WriterError.WriterError)

describe("WriterError", () => {
  for (const [tag, expected] of Object.entries(everyError)) {
    describe(tag, () => {
      const { error, isRetryable, says, written } = expected

      it("says what is in the file, whether the writer may try again, and in which lane it happened", () => {
        assert.deepStrictEqual(
          { tag: error._tag, lane: error.lane, isRetryable: error.isRetryable, written: error.written },
          { tag: error._tag, lane, isRetryable, written }
        )
        assert.strictEqual<string>(error._tag, tag)
      })

      it("names in its message what an operator needs", () => {
        assert.deepStrictEqual(
          says.filter((part) => !error.message.includes(part)),
          [],
          error.message
        )
      })

      it("comes back the same from the other side of a border", () => {
        const returned = decode(JSON.parse(JSON.stringify(encode(error))))
        assert.strictEqual(returned._tag, error._tag)
        assert.strictEqual(returned.message, error.message)
        assert.deepStrictEqual(
          { isRetryable: returned.isRetryable, written: returned.written },
          { isRetryable, written }
        )
        assert.deepStrictEqual(encode(returned), encode(error))
        assert.isTrue(WriterError.isWriterError(returned))
      })
    })
  }

  it("is tried again only when nothing was written", () => {
    const unsafe = Object.values(everyError).filter(({ error }) => error.isRetryable && error.written !== "nothing")
    assert.deepStrictEqual(unsafe, [])
  })

  it("is a closed set", () => {
    assert.deepStrictEqual(
      WriterError.WriterError.members.map(({ _tag }) => _tag).toSorted(),
      Object.keys(everyError).toSorted()
    )
    assert.isFalse(WriterError.isWriterError(new Error("SQLITE_BUSY")))
    assert.isFalse(WriterError.isWriterError({ _tag: "WriterClosed", lane: "control" }))
    assert.throws(() => decode({ _tag: "SomethingElse", lane: "control" }))
    assert.throws(() => decode({ _tag: "WriterClosed", lane: "No lane" }))
    assert.throws(() => decode({ _tag: "LaneOverflow", lane: "control", waiterCount: -1, capacity: 1 }))
  })
})
