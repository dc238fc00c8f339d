/**
 * Every failure a request can end with, and the one table that turns it into
 * an answer.
 *
 * @since 0.1.0
 */
import { Match, Schema } from "effect"
import { WriterError } from "presence-effect/WriterError"
import { ReadFailed } from "../database/DatabaseReader.ts"

/**
 * No token, or one that does not verify. `error` is what the client reads.
 *
 * @category errors
 * @since 0.1.0
 */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("light-server/Unauthorized")("Unauthorized", {
  error: Schema.String
}) {}

/**
 * The caller is known and may not do this. `error` is what the client reads.
 *
 * @category errors
 * @since 0.1.0
 */
export class Forbidden extends Schema.TaggedError<Forbidden>("light-server/Forbidden")("Forbidden", {
  error: Schema.String
}) {}

/**
 * No such thing, or one of another account: nobody learns which.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Schema.TaggedError<NotFound>("light-server/NotFound")("NotFound", {
  /** `Machine`, `Session`, …: the answer reads `<what> not found`. */
  what: Schema.String
}) {}

/**
 * The request contradicts itself in a way its schema cannot say.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>("light-server/InvalidInput")("InvalidInput", {
  error: Schema.String
}) {}

/**
 * The machine id belongs to another account.
 *
 * @category errors
 * @since 0.1.0
 */
export class MachineIdConflict extends Schema.TaggedError<MachineIdConflict>("light-server/MachineIdConflict")(
  "MachineIdConflict",
  {}
) {}

/**
 * The feed of changes cannot be read from this cursor on: the account never was
 * there, or the feed does not reach back that far. The client starts over from
 * `currentCursor`.
 *
 * @category errors
 * @since 0.1.0
 */
export class CursorGone extends Schema.TaggedError<CursorGone>("light-server/CursorGone")("CursorGone", {
  currentCursor: Schema.Int
}) {}

/**
 * A limit on how often or how many at once was reached. Nothing was done.
 *
 * @category errors
 * @since 0.1.0
 */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>("light-server/TooManyRequests")(
  "TooManyRequests",
  { retryAfterMillis: Schema.NonNegative }
) {}

/**
 * The server is shutting down and takes no new work.
 *
 * @category errors
 * @since 0.1.0
 */
export class Draining extends Schema.TaggedError<Draining>("light-server/Draining")("Draining", {}) {}

/**
 * The answer was not there when the last limit of the server ran out. What the
 * request wanted may or may not be done.
 *
 * @category errors
 * @since 0.1.0
 */
export class AnswerTimeout extends Schema.TaggedError<AnswerTimeout>("light-server/AnswerTimeout")("AnswerTimeout", {
  limitMillis: Schema.NonNegative
}) {}

/**
 * Schema of every failure of a request.
 *
 * @category errors
 * @since 0.1.0
 */
export const Failure = Schema.Union(
  ...WriterError.members,
  ReadFailed,
  Unauthorized,
  Forbidden,
  NotFound,
  InvalidInput,
  MachineIdConflict,
  CursorGone,
  TooManyRequests,
  Draining,
  AnswerTimeout
)

/**
 * @category errors
 * @since 0.1.0
 */
export type Failure = typeof Failure.Type

/**
 * The tags of all failures, for documents and tests.
 *
 * @category errors
 * @since 0.1.0
 */
export const tags: ReadonlyArray<Failure["_tag"]> = Failure.members.map((member) => member._tag)

/**
 * What goes over HTTP. `error` is a string in every body, because that is what
 * clients of any age show.
 *
 * @category models
 * @since 0.1.0
 */
export interface HttpFailure {
  readonly status: number
  readonly retryAfterMillis: number | undefined
  readonly body: { readonly error: string } & { readonly [field: string]: unknown }
}

/** Same moment for all would bring all back at once: between one and two times `millis`, in whole seconds. */
const spread = (millis: number, jitter: number) => Math.ceil((millis * (1 + jitter)) / 1000) * 1000

/**
 * The one place where a failure becomes a status. A new failure does not
 * compile until this table knows it; `docs/errors.md` explains each line.
 *
 * `jitter`, from 0 to 1, spreads the moments at which refused clients come back.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toHttp = (failure: Failure, jitter = 0): HttpFailure => {
  const protocol = (status: number, error: string, more: { readonly [field: string]: unknown } = {}): HttpFailure => ({
    status,
    retryAfterMillis: undefined,
    body: { error, ...more }
  })
  const later =
    (millis: number, error: string, status = 503) =>
    ({ _tag }: { readonly _tag: string }): HttpFailure => {
      const retryAfterMillis = spread(millis, jitter)
      return {
        status,
        retryAfterMillis,
        body: { error, code: _tag, retryable: true, retryAfterMs: retryAfterMillis }
      }
    }
  const never =
    (error: string) =>
    ({ _tag }: { readonly _tag: string }): HttpFailure => ({
      status: 500,
      retryAfterMillis: undefined,
      body: { error, code: _tag, retryable: false }
    })
  return Match.value(failure).pipe(
    Match.tagsExhaustive({
      LaneOverflow: later(2000, "The server is overloaded"),
      PermitTimeout: later(1000, "The server is busy"),
      DatabaseBusy: later(1000, "The database is busy"),
      WriteUnconfirmed: later(1000, "The write was not confirmed in time"),
      WriteConflict: later(1000, "The row was changed by somebody else"),
      WriteRejected: never("The database refused the write"),
      WriteUndecodable: never("The write is stored, but its result cannot be read"),
      ConnectionLost: later(1000, "The database is being opened again"),
      DatabaseFull: later(60_000, "The disk of the server is full"),
      DatabaseReadonly: later(60_000, "The database cannot be written"),
      DatabaseIo: later(10_000, "The disk of the server reports errors"),
      DatabaseCorrupt: never("The database is damaged"),
      DatabaseMoved: later(5000, "The database file was moved or replaced"),
      WriterClosed: later(2000, "The server is shutting down"),
      ReadFailed: later(1000, "The database cannot be read now"),
      Unauthorized: ({ error }) => protocol(401, error),
      Forbidden: ({ error }) => protocol(403, error),
      NotFound: ({ what }) => protocol(404, `${what} not found`),
      InvalidInput: ({ error }) => protocol(400, error),
      MachineIdConflict: () =>
        protocol(409, "machine_id_conflict", { message: "This machine id belongs to another account" }),
      CursorGone: ({ currentCursor }) => protocol(410, "cursor-gone", { currentCursor }),
      TooManyRequests: (failure) => later(failure.retryAfterMillis, "Too many requests", 429)(failure),
      Draining: later(2000, "The server is shutting down"),
      AnswerTimeout: later(1000, "The server did not answer in time")
    })
  )
}
