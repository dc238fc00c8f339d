/**
 * How a server answers each failure of a write: the one table. The error classes and `HttpFailure` read it.
 *
 * It knows the failures by tag only, because it is below them.
 */
import * as Schema from "effect/Schema"
import { constraintOf } from "./constraintCode.ts"

export interface FailureTerms {
  /** Status of an HTTP answer. */
  readonly statusCode: number
  /** When the same request may succeed, in ms. `undefined`: it will not succeed by waiting. */
  readonly retryAfterMillis: number | undefined
  /** What any client may read: no table, no column, no SQL. */
  readonly text: string
}

const later = (retryAfterMillis: number, text: string): FailureTerms => ({ statusCode: 503, retryAfterMillis, text })

const never = (statusCode: number, text: string): FailureTerms => ({ statusCode, retryAfterMillis: undefined, text })

/** `WriteRejected` for a constraint: the data is at fault, and not the program. */
export const constraintTerms = never(409, "The write conflicts with stored data")

export const table = {
  LaneOverflow: later(2000, "The server is overloaded"),
  PermitTimeout: later(1000, "The server is busy"),
  NestedPermit: never(500, "A write waits for itself"),
  DatabaseBusy: later(1000, "The database is busy"),
  WriteUnconfirmed: later(1000, "The write was not confirmed in time"),
  WriteConflict: never(409, "The row was changed by another request"),
  WriteRejected: never(500, "The database refused the write"),
  WriteUndecodable: never(500, "The write is stored, but its result cannot be read"),
  ConnectionLost: later(1000, "The database is being opened again"),
  ConnectionGone: later(5000, "The database cannot be opened again"),
  DatabaseFull: later(60_000, "The disk of the server is full"),
  DatabaseReadonly: later(60_000, "The database cannot be written"),
  DatabaseIo: later(10_000, "The disk of the server reports errors"),
  DatabaseCorrupt: never(500, "The database is damaged"),
  DatabaseMoved: later(5000, "The database file was moved or replaced"),
  WriterClosed: later(2000, "The server is shutting down")
}

export type FailureTag = keyof typeof table

const isFailureTag = (tag: string): tag is FailureTag => Object.hasOwn(table, tag)

/** The terms of a failure with this tag and this code of the engine. */
export const termsOf = (tag: string, code: unknown): FailureTerms => {
  if (tag === "WriteRejected" && typeof code === "string" && constraintOf(code) !== undefined) return constraintTerms
  return isFailureTag(tag) ? table[tag] : never(500, "Unexpected error")
}

/**
 * What every failure of a write has for the border of a server. Fastify and Express read `statusCode` of what a handler
 * throws.
 */
export interface AtTheBorder {
  /**
   * Status of an HTTP answer, from the table of `HttpFailure`.
   *
   * @since 0.3.0
   */
  readonly statusCode: number
  /**
   * When the caller may repeat the request, in ms, for `Retry-After`. `undefined`: waiting does not help. Another
   * question than `isRetryable`, which is whether the writer tried again by itself.
   *
   * @since 0.3.0
   */
  readonly retryAfterMillis: number | undefined
}

/** `Schema.TaggedError` with the terms of its tag. */
export const failure =
  <Self>(identifier: string) =>
  <Tag extends FailureTag, Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) => {
    const Base = Schema.TaggedError<Self>(identifier)(tag, fields) as Schema.TaggedErrorClass<
      Self,
      Tag,
      { readonly _tag: Schema.tag<Tag> } & Fields
    >
    Object.defineProperties(Base.prototype, {
      statusCode: {
        get(this: { readonly code?: unknown }) {
          return termsOf(tag, this.code).statusCode
        }
      },
      retryAfterMillis: {
        get(this: { readonly code?: unknown }) {
          return termsOf(tag, this.code).retryAfterMillis
        }
      }
    })
    // oxlint-disable-next-line typescript/no-explicit-any
    return Base as typeof Base & (new (...args: Array<any>) => AtTheBorder)
  }
