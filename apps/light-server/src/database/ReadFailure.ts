/** Why a read has no answer. Nothing is written by any of them. */
import { Schema } from "effect"

/** The code of rows that do not fit their schema. */
export const undecodable = "UNDECODABLE"

/** The code of a read whose thread ended before it answered. */
export const threadLost = "THREAD_LOST"

/** A damaged file, which no new process repairs: the server goes on reading. */
export const isDamage = ({ code }: { readonly code: string }): boolean => /^SQLITE_(CORRUPT|NOTADB)/.test(code)

/**
 * A value that PostgreSQL cannot store or compare, though it is valid JSON: a text with the character U+0000, or a key
 * that is too long for an index. Its client is told so; no row can have it.
 */
export const isUnstorable = ({ code }: { readonly code: string }): boolean => /^(22021|22P05|54000)$/.test(code)

/** A read did not answer, or its rows do not fit their schema. Nothing written. */
export class ReadFailed extends Schema.TaggedError<ReadFailed>("light-server/ReadFailed")("ReadFailed", {
  /** SQLite's extended result code, `UNDECODABLE`, or `THREAD_LOST`. */
  code: Schema.String,
  detail: Schema.String
}) {
  get isRetryable(): boolean {
    return this.code !== undecodable && !isDamage(this) && !isUnstorable(this)
  }
  readonly written = "nothing" as const
  override get message(): string {
    return `the database could not be read (${this.code}): ${this.detail}`
  }
}

/** The queue of the class is full. This read was not begun. */
export class ReadOverflow extends Schema.TaggedError<ReadOverflow>("light-server/ReadOverflow")("ReadOverflow", {
  readClass: Schema.String,
  limit: Schema.NonNegative
}) {
  readonly isRetryable = true
  readonly written = "nothing" as const
  override get message(): string {
    return `${this.limit} reads of class ${this.readClass} wait already`
  }
}

/** The read waited or ran for longer than its class allows. */
export class ReadTimeout extends Schema.TaggedError<ReadTimeout>("light-server/ReadTimeout")("ReadTimeout", {
  readClass: Schema.String,
  limitMillis: Schema.NonNegative
}) {
  readonly isRetryable = true
  readonly written = "nothing" as const
  override get message(): string {
    return `a read of class ${this.readClass} had no answer within ${this.limitMillis} ms`
  }
}

/** Why a read of the pool has no answer. */
export type ReadFailure = ReadFailed | ReadOverflow | ReadTimeout
