/**
 * Every failure a request or the opening of a socket can end with, and the one
 * table that turns it into an answer.
 */
import { Match, Schema } from "effect"
import { WriterError } from "presence-effect/writer/WriterError"
import { isDamage, ReadFailed } from "./database/DatabaseReader.ts"

/** No token, or one that does not verify. `error` is what the client reads. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("light-server/Unauthorized")("Unauthorized", {
  error: Schema.String
}) {}

/**
 * The answer to a token that does not verify, that was revoked, or whose
 * account is gone: nobody learns which.
 */
export const invalidToken: Unauthorized = new Unauthorized({ error: "Invalid token" })

/** The caller is known and may not do this. `error` is what the client reads. */
export class Forbidden extends Schema.TaggedError<Forbidden>("light-server/Forbidden")("Forbidden", {
  error: Schema.String
}) {}

/** No such thing, or one of another account: nobody learns which. */
export class NotFound extends Schema.TaggedError<NotFound>("light-server/NotFound")("NotFound", {
  /** `Machine`, `Session`, …: the answer reads `<what> not found`. */
  what: Schema.String
}) {}

/** The request contradicts itself in a way its schema cannot say. */
export class InvalidInput extends Schema.TaggedError<InvalidInput>("light-server/InvalidInput")("InvalidInput", {
  error: Schema.String
}) {}

/** The machine id belongs to another account. */
export class MachineIdConflict extends Schema.TaggedError<MachineIdConflict>("light-server/MachineIdConflict")(
  "MachineIdConflict",
  {}
) {}

/** The machine was revoked for good. Its daemon must register another one. */
export class MachineRevoked extends Schema.TaggedError<MachineRevoked>("light-server/MachineRevoked")(
  "MachineRevoked",
  {}
) {}

/** What daemons read when their machine was revoked, over HTTP and over sockets. */
export const machineRevoked = "machine_revoked"

/**
 * The feed of changes cannot be read from this cursor on: the account never was
 * there, or the feed does not reach back that far. The client starts over from
 * `currentCursor`.
 */
export class CursorGone extends Schema.TaggedError<CursorGone>("light-server/CursorGone")("CursorGone", {
  currentCursor: Schema.Int
}) {}

/**
 * No request of HTTP, or one that does not fit its route: the path cannot be
 * decoded, the headers or the body are too long, of another type, or not as the
 * schema says. `message` names what, and never the value.
 */
export class RequestUnreadable extends Schema.TaggedError<RequestUnreadable>("light-server/RequestUnreadable")(
  "RequestUnreadable",
  { status: Schema.Int.pipe(Schema.between(400, 499)), message: Schema.String }
) {}

/** No route has this path and method. Clients tell it from `NotFound` by `path`. */
export class RouteUnknown extends Schema.TaggedError<RouteUnknown>("light-server/RouteUnknown")("RouteUnknown", {
  path: Schema.String,
  method: Schema.String
}) {}

/** A defect of the server. Its cause is logged, and told to nobody. */
export class RequestDefect extends Schema.TaggedError<RequestDefect>("light-server/RequestDefect")(
  "RequestDefect",
  {}
) {}

/** A limit on how often or how many at once was reached. Nothing was done. */
export class TooManyRequests extends Schema.TaggedError<TooManyRequests>("light-server/TooManyRequests")(
  "TooManyRequests",
  { retryAfterMillis: Schema.NonNegative }
) {}

/**
 * More sockets are there, or connect at once, than the server takes. The
 * transport is refused before it is opened, so the client waits longer each time.
 */
export class SocketOverflow extends Schema.TaggedError<SocketOverflow>("light-server/SocketOverflow")(
  "SocketOverflow",
  {}
) {}

/** The server is shutting down and takes no new work. */
export class Draining extends Schema.TaggedError<Draining>("light-server/Draining")("Draining", {}) {}

/**
 * The answer was not there when the last limit of the server ran out. What the
 * request wanted may or may not be done.
 */
export class AnswerTimeout extends Schema.TaggedError<AnswerTimeout>("light-server/AnswerTimeout")("AnswerTimeout", {
  limitMillis: Schema.NonNegative
}) {}

/** Schema of every failure of a request. */
export const Failure = Schema.Union(
  ...WriterError.members,
  ReadFailed,
  Unauthorized,
  Forbidden,
  NotFound,
  InvalidInput,
  MachineIdConflict,
  MachineRevoked,
  CursorGone,
  RequestUnreadable,
  RouteUnknown,
  RequestDefect,
  TooManyRequests,
  SocketOverflow,
  Draining,
  AnswerTimeout
)

export type Failure = typeof Failure.Type

/** The tags of all failures, for documents and tests. */
export const tags: ReadonlyArray<Failure["_tag"]> = Failure.members.map((member) => member._tag)

/**
 * What goes over HTTP. `error` is a string in every body, because that is what
 * clients of any age show.
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
  const damaged = never("The database is damaged")
  return Match.value(failure).pipe(
    Match.tagsExhaustive({
      LaneOverflow: later(2000, "The server is overloaded"),
      PermitTimeout: later(1000, "The server is busy"),
      NestedPermit: never("A write waits for itself"),
      DatabaseBusy: later(1000, "The database is busy"),
      WriteUnconfirmed: later(1000, "The write was not confirmed in time"),
      WriteConflict: later(1000, "The row was changed by somebody else"),
      WriteRejected: never("The database refused the write"),
      WriteUndecodable: never("The write is stored, but its result cannot be read"),
      ConnectionLost: later(1000, "The database is being opened again"),
      ConnectionGone: later(5000, "The database cannot be opened again"),
      DatabaseFull: later(60_000, "The disk of the server is full"),
      DatabaseReadonly: later(60_000, "The database cannot be written"),
      DatabaseIo: later(10_000, "The disk of the server reports errors"),
      DatabaseCorrupt: damaged,
      DatabaseMoved: later(5000, "The database file was moved or replaced"),
      WriterClosed: later(2000, "The server is shutting down"),
      // Another moment helps a read, and never a row that does not fit. Damage is the same for all who meet it.
      ReadFailed: (failure) => {
        if (isDamage(failure)) return damaged({ _tag: "DatabaseCorrupt" })
        return failure.isRetryable
          ? later(1000, "The database cannot be read now")(failure)
          : never("What is stored cannot be read")(failure)
      },
      Unauthorized: ({ error }) => protocol(401, error),
      Forbidden: ({ error }) => protocol(403, error),
      NotFound: ({ what }) => protocol(404, `${what} not found`),
      InvalidInput: ({ error }) => protocol(400, error),
      MachineIdConflict: () =>
        protocol(409, "machine_id_conflict", { message: "This machine id belongs to another account" }),
      MachineRevoked: () => protocol(410, machineRevoked),
      CursorGone: ({ currentCursor }) => protocol(410, "cursor-gone", { currentCursor }),
      RequestUnreadable: ({ message, status }) => protocol(status, "Error", { message, statusCode: status }),
      RouteUnknown: ({ method, path }) => protocol(404, "Not found", { path, method }),
      RequestDefect: () =>
        protocol(500, "Internal Server Error", { message: "An unexpected error occurred", statusCode: 500 }),
      TooManyRequests: (failure) => later(failure.retryAfterMillis, "Too many requests", 429)(failure),
      SocketOverflow: later(2000, "Too many sockets connect at once"),
      Draining: later(2000, "The server is shutting down"),
      AnswerTimeout: later(1000, "The server did not answer in time")
    })
  )
}
