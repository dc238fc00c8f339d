/**
 * The closed set of failures of a write. Each error answers three questions.
 *
 * - `written`: what is in the file now.
 * - `isRetryable`: may the writer try again by itself, because nothing was written and the same write can succeed a
 *   moment later. It did so on the terms of the lane before the caller saw the error.
 * - `retryAfterMillis`: when a client may repeat its request, if that can help. Also set where the writer does not try
 *   again by itself, because its queue or its disk is full. `statusCode` is the status that goes with it.
 *
 * @example
 * import { strictEqual } from "node:assert/strict"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as WriterError from "presence-effect/writer/WriterError"
 *
 * const mayRepeat = ({ retryAfterMillis, written }: WriterError.WriterError): boolean =>
 *   written === "nothing" && retryAfterMillis !== undefined
 *
 * strictEqual(mayRepeat(new WriterError.PermitTimeout({ lane: Lane.data, waitedMillis: 500 })), true)
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { type Constraint, constraintOf } from "./internal/constraintCode.ts"
import { failure } from "./internal/failureTerms.ts"
import { NestedPermit } from "./internal/nestedPermit.ts"
import { Lane } from "./Lane.ts"

export {
  /**
   * A write asked for inside a body that holds the permit.
   * @category errors
   * @since 0.2.0
   */
  NestedPermit
}

/**
 * What a failed write left in the file: nothing, everything, or it is unknown.
 *
 * @category models
 * @since 0.1.0
 */
export const Written = Schema.Literal("nothing", "unknown", "everything")

/**
 * @category models
 * @since 0.1.0
 */
export type Written = typeof Written.Type

const { NonNegative: Millis, NonNegativeInt: Count } = Schema

/**
 * The lane holds as many waiters as its policy allows. Raised at once: that is cheaper than to wait past the deadline.
 *
 * @category errors
 * @since 0.1.0
 */
export class LaneOverflow extends failure<LaneOverflow>("presence-effect/LaneOverflow")("LaneOverflow", {
  lane: Lane,
  waiterCount: Count,
  capacity: Count
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `lane ${this.lane} is full: ${this.waiterCount} waiters, capacity ${this.capacity}`
  }
}

/**
 * No permit within the lane's `acquireTimeout`, or within what was left of its `deadline`. The engine got nothing.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermitTimeout extends failure<PermitTimeout>("presence-effect/PermitTimeout")("PermitTimeout", {
  lane: Lane,
  waitedMillis: Millis
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `no permit for lane ${this.lane} after ${this.waitedMillis} ms`
  }
}

/**
 * Another connection holds the lock, and went on holding it for as long as the lane tries again. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseBusy extends failure<DatabaseBusy>("presence-effect/DatabaseBusy")("DatabaseBusy", {
  lane: Lane,
  code: Schema.String,
  attempts: Count
}) {
  /** @since 0.1.0 */
  readonly isRetryable = true
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `another connection holds the write lock (${this.code}, lane ${this.lane}, attempts ${this.attempts})`
  }
}

/**
 * The caller stopped waiting before the engine's answer: written or not. Repeat it only when it is idempotent.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteUnconfirmed extends failure<WriteUnconfirmed>("presence-effect/WriteUnconfirmed")(
  "WriteUnconfirmed",
  {
    lane: Lane,
    /** The hold took too long, the engine's thread died, or the writer closed meanwhile. */
    reason: Schema.Literal("hold-limit", "connection-lost", "closed"),
    heldMillis: Millis
  }
) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "unknown"
  /** @since 0.1.0 */
  override get message(): string {
    return `no answer from the engine (${this.reason}, lane ${this.lane}, ${this.heldMillis} ms): outcome unknown`
  }
}

/**
 * A statement changed another number of rows than its write demands. All of it was rolled back: nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteConflict extends failure<WriteConflict>("presence-effect/WriteConflict")("WriteConflict", {
  lane: Lane,
  /** Position of the statement in the write, from 0. */
  statement: Count,
  expected: Schema.Union(Schema.Literal("some"), Count),
  changed: Count
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `statement ${this.statement} changed ${this.changed} rows, expected ${this.expected}: rolled back`
  }
}

/**
 * The database refused the statement itself, and does so again: a constraint, wrong SQL. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteRejected extends failure<WriteRejected>("presence-effect/WriteRejected")("WriteRejected", {
  lane: Lane,
  /** The engine's code, such as `SQLITE_CONSTRAINT_UNIQUE` or `23505`; `PARAMETER`: one that cannot be bound. */
  code: Schema.String,
  detail: Schema.String
}) {
  /** The kind of constraint that is violated, whatever the engine is; `undefined`: none. @since 0.4.0 */
  get constraint(): Constraint | undefined {
    return constraintOf(this.code)
  }
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `${this.code}: ${this.detail}`
  }
}

/**
 * The write is committed, but the rows it returned do not fit its decoder.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriteUndecodable extends failure<WriteUndecodable>("presence-effect/WriteUndecodable")(
  "WriteUndecodable",
  { lane: Lane, detail: Schema.String }
) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "everything"
  /** @since 0.1.0 */
  override get message(): string {
    return `committed, but the returned rows do not fit: ${this.detail}`
  }
}

/**
 * The connection was gone before the write reached it or could be committed; a new one is opened. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionLost extends failure<ConnectionLost>("presence-effect/ConnectionLost")("ConnectionLost", {
  lane: Lane,
  detail: Schema.String
}) {
  /** @since 0.1.0 */
  readonly isRetryable = true
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `no connection to the database: ${this.detail}`
  }
}

/**
 * The connection was given up: its thread died too often or did not open the file. End the process. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionGone extends failure<ConnectionGone>("presence-effect/ConnectionGone")("ConnectionGone", {
  lane: Lane,
  detail: Schema.String
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `the connection to the database was given up: ${this.detail}`
  }
}

const engineFields = { lane: Lane, code: Schema.String, detail: Schema.String }

/**
 * The disk, the quota or the page limit is used up, or only the reserve is left. Reads go on. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseFull extends failure<DatabaseFull>("presence-effect/DatabaseFull")("DatabaseFull", engineFields) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `no space left for the database (${this.code}): ${this.detail}`
  }
}

/**
 * The file or its directory cannot be written or opened by this process. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseReadonly extends failure<DatabaseReadonly>("presence-effect/DatabaseReadonly")(
  "DatabaseReadonly",
  engineFields
) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `the database cannot be written (${this.code}): ${this.detail}`
  }
}

/**
 * The system reported an input/output error. Before the commit nothing is written; after a failed commit it is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseIo extends failure<DatabaseIo>("presence-effect/DatabaseIo")("DatabaseIo", {
  ...engineFields,
  written: Written
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  override get message(): string {
    return `input/output error (${this.code}, written: ${this.written}): ${this.detail}`
  }
}

/**
 * The database is damaged, or the file is not one of SQLite. Stop writing and restore a backup. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseCorrupt extends failure<DatabaseCorrupt>("presence-effect/DatabaseCorrupt")(
  "DatabaseCorrupt",
  engineFields
) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `the database is damaged (${this.code}): ${this.detail}`
  }
}

/**
 * The database file or its log at the path is no longer the one that is open: it was deleted or replaced. Writing on
 * would succeed and be lost. Nothing written, except when it was noticed after the commit: then it is unknown.
 *
 * @category errors
 * @since 0.1.0
 */
export class DatabaseMoved extends failure<DatabaseMoved>("presence-effect/DatabaseMoved")("DatabaseMoved", {
  lane: Lane,
  detail: Schema.String,
  written: Schema.propertySignature(Written).pipe(Schema.withConstructorDefault((): Written => "nothing"))
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  override get message(): string {
    return `the database file was moved or replaced (written: ${this.written}): ${this.detail}`
  }
}

/**
 * The writer is shutting down and takes no new writes. Nothing written.
 *
 * @category errors
 * @since 0.1.0
 */
export class WriterClosed extends failure<WriterClosed>("presence-effect/WriterClosed")("WriterClosed", {
  lane: Lane
}) {
  /** @since 0.1.0 */
  readonly isRetryable = false
  /** @since 0.1.0 */
  readonly written: Written = "nothing"
  /** @since 0.1.0 */
  override get message(): string {
    return `the writer is closed (lane ${this.lane})`
  }
}

/**
 * Schema of every failure of a write.
 *
 * @category errors
 * @since 0.1.0
 */
export const WriterError = Schema.Union(
  LaneOverflow,
  PermitTimeout,
  NestedPermit,
  DatabaseBusy,
  WriteUnconfirmed,
  WriteConflict,
  WriteRejected,
  WriteUndecodable,
  ConnectionLost,
  ConnectionGone,
  DatabaseFull,
  DatabaseReadonly,
  DatabaseIo,
  DatabaseCorrupt,
  DatabaseMoved,
  WriterClosed
)

/**
 * @category errors
 * @since 0.1.0
 */
export type WriterError = typeof WriterError.Type

/**
 * @category guards
 * @since 0.1.0
 */
export const isWriterError: (u: unknown) => u is WriterError = Schema.is(WriterError)
