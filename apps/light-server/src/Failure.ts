/** Failures that a request or the opening of a socket can end with, besides those of the writer and of reads. */
import { Schema } from "effect"

/** No token, or one that does not verify. `error` is what the client reads. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>("light-server/Unauthorized")("Unauthorized", {
  error: Schema.String
}) {}

/**
 * The answer to a token that does not verify, that was revoked, or whose
 * account is gone. It does not say which.
 */
export const invalidToken: Unauthorized = new Unauthorized({ error: "Invalid token" })

/**
 * The operator has disabled the account. Its clients keep what they could not send and try again: final answers would
 * make them log out or throw it away.
 */
export class AccountDisabled extends Schema.TaggedError<AccountDisabled>("light-server/AccountDisabled")(
  "AccountDisabled",
  { accountId: Schema.String }
) {
  override get message(): string {
    return "the account is disabled"
  }
}

/** The caller is known and may not do this. `error` is what the client reads. */
export class Forbidden extends Schema.TaggedError<Forbidden>("light-server/Forbidden")("Forbidden", {
  error: Schema.String
}) {}

/** No such entity, or one of another account. The answer does not say which. */
export class NotFound extends Schema.TaggedError<NotFound>("light-server/NotFound")("NotFound", {
  /** `Machine`, `Session`, …: the answer reads `<what> not found`. */
  what: Schema.String,
  /** What the client reads instead. */
  error: Schema.optional(Schema.String)
}) {}

/** The request contradicts what is stored. `error` is what the client reads. */
export class Conflict extends Schema.TaggedError<Conflict>("light-server/Conflict")("Conflict", {
  error: Schema.String
}) {}

/** The request is invalid in a way that its schema cannot express. */
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

/** What the client of a socket reads when its token does not verify, or has ended. */
export const invalidSocketToken = "Invalid authentication token"

/** What daemons read when their machine was revoked, over HTTP and over sockets. */
export const machineRevoked = "machine_revoked"

/**
 * The feed of changes cannot be read from this cursor on: the account never had
 * it, or the feed does not reach back that far. The client starts over from
 * `currentCursor`.
 */
export class CursorGone extends Schema.TaggedError<CursorGone>("light-server/CursorGone")("CursorGone", {
  currentCursor: Schema.Int
}) {}

/**
 * Not a valid HTTP request, or one that does not fit its route: the path cannot be decoded, or the headers or the body
 * are too long, of another type, or do not match the schema. `message` names the part, never its value.
 */
export class RequestUnreadable extends Schema.TaggedError<RequestUnreadable>("light-server/RequestUnreadable")(
  "RequestUnreadable",
  {
    status: Schema.Int.pipe(Schema.between(400, 499)),
    message: Schema.String,
    /** What the body calls it, if not `Error`: JSON that cannot be parsed is a `SyntaxError`. */
    error: Schema.optional(Schema.Literal("SyntaxError"))
  }
) {}

/** No route has this path and method. Clients distinguish it from `NotFound` by `path`. */
export class RouteUnknown extends Schema.TaggedError<RouteUnknown>("light-server/RouteUnknown")("RouteUnknown", {
  path: Schema.String,
  method: Schema.String
}) {}

/** A defect of the server. Its cause is logged, and is not part of the answer. */
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
 * The account stores as much as it may. Nothing was written. Reads, deletes, ends and signs of life go on, and so does
 * what is already there; new rows are accepted again when the account has deleted some.
 */
export class QuotaExceeded extends Schema.TaggedError<QuotaExceeded>("light-server/QuotaExceeded")("QuotaExceeded", {
  quota: Schema.Literal("bytes", "rows"),
  limit: Schema.NonNegative
}) {
  override get message(): string {
    return `the account may store ${this.limit} ${this.quota}`
  }
}

/**
 * More sockets are open, or connect at once, than the server accepts. The
 * transport is refused before it is opened, so the client waits longer each time.
 */
export class SocketOverflow extends Schema.TaggedError<SocketOverflow>("light-server/SocketOverflow")(
  "SocketOverflow",
  {}
) {}

/** The event loop is late or too much waits to be sent, and this request can be repeated later. Nothing was done. */
export class LoopOverload extends Schema.TaggedError<LoopOverload>("light-server/LoopOverload")("LoopOverload", {
  /** How late the event loop was. */
  delayMillis: Schema.NonNegative
}) {}

/** The server is shutting down and takes no new work. */
export class Draining extends Schema.TaggedError<Draining>("light-server/Draining")("Draining", {}) {}

/**
 * There was no answer within the last time limit of the server. The request may
 * or may not have had its effect.
 */
export class AnswerTimeout extends Schema.TaggedError<AnswerTimeout>("light-server/AnswerTimeout")("AnswerTimeout", {
  limitMillis: Schema.NonNegative
}) {}
