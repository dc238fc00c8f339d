/**
 * The answer of an HTTP server to a failed write: status, headers and a body without SQL.
 *
 * One table for every failure. The errors carry its status as `statusCode`, the Fastify plugin answers with it.
 *
 * @since 0.3.0
 */
import * as FailureTerms from "./internal/failureTerms.ts"
import type { WriterError, Written } from "./WriterError.ts"

/**
 * @category models
 * @since 0.3.0
 */
export interface Terms {
  /** Status of the answer. */
  readonly statusCode: number
  /** When the same request may succeed, in ms. `undefined`: waiting does not help. */
  readonly retryAfterMillis: number | undefined
  /** What any client may read: no table, no column, no SQL. */
  readonly text: string
}

/**
 * @category models
 * @since 0.3.0
 */
export interface HttpFailure {
  readonly statusCode: number
  /** `retry-after` in seconds, where the caller may try again. */
  readonly headers: { readonly [name: string]: string }
  readonly body: {
    readonly error: string
    /** Tag of the failure. */
    readonly code: string
    /** What the database holds now. `unknown`: repeat the request only if it may happen twice. */
    readonly written: Written
    readonly retryable: boolean
    readonly retryAfterMs?: number
  }
}

/**
 * Every failure and its answer. `WriteRejected` for a constraint is 409 instead, see `termsOf`.
 *
 * @category getters
 * @since 0.3.0
 */
export const terms: Readonly<Record<WriterError["_tag"], Terms>> = FailureTerms.table

/**
 * What the table says about a failure.
 *
 * @category getters
 * @since 0.3.0
 */
export const termsOf = (error: WriterError): Terms =>
  FailureTerms.termsOf(error._tag, "code" in error ? error.code : undefined)

/**
 * A time between `millis` and twice as long, in whole seconds, so that refused clients do not come back all at once.
 * `jitter` is from 0 to 1.
 *
 * @category combinators
 * @since 0.3.0
 */
export const spread = (millis: number, jitter: number): number => Math.ceil((millis * (1 + jitter)) / 1000) * 1000

/**
 * The answer to a failed write. `jitter`, from 0 to 1, spreads the moments at which refused clients come back.
 *
 * @example
 * import * as HttpFailure from "presence-effect/writer/HttpFailure"
 * import * as WriterError from "presence-effect/writer/WriterError"
 *
 * // In Express: app.use(onWriterError)
 * export const onWriterError = (
 *   error: unknown,
 *   _request: unknown,
 *   response: { set: (headers: object) => { status: (code: number) => { json: (body: unknown) => void } } },
 *   next: (error: unknown) => void
 * ) => {
 *   if (!WriterError.isWriterError(error)) return next(error)
 *   const { body, headers, statusCode } = HttpFailure.make(error, Math.random())
 *   response.set(headers).status(statusCode).json(body)
 * }
 *
 * @category constructors
 * @since 0.3.0
 */
export const make = (error: WriterError, jitter = 0): HttpFailure => {
  const { retryAfterMillis, statusCode, text } = termsOf(error)
  const body = { error: text, code: error._tag, written: error.written }
  if (retryAfterMillis === undefined) return { statusCode, headers: {}, body: { ...body, retryable: false } }
  const retryAfterMs = spread(retryAfterMillis, jitter)
  return {
    statusCode,
    headers: { "retry-after": String(retryAfterMs / 1000) },
    body: { ...body, retryable: true, retryAfterMs }
  }
}
