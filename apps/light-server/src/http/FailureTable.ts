/**
 * Every failure a request or the opening of a socket can end with, and the one
 * table that turns it into an answer.
 */
import { Match, Schema } from "effect"
import * as WriteFailure from "presence-effect/writer/HttpFailure"
import { WriterError } from "presence-effect/writer/WriterError"
import { isDamage, isUnstorable, ReadFailed, ReadOverflow, ReadTimeout } from "../database/ReadFailure.ts"
import {
  AccountDisabled,
  AnswerTimeout,
  Conflict,
  CursorGone,
  Draining,
  Forbidden,
  InvalidInput,
  LoopOverload,
  MachineIdConflict,
  MachineRevoked,
  machineRevoked,
  NotFound,
  QuotaExceeded,
  RequestDefect,
  RequestUnreadable,
  RouteUnknown,
  SocketOverflow,
  TooManyRequests,
  Unauthorized
} from "../Failure.ts"

/** Schema of every failure of a request. */
export const Failure = Schema.Union(
  ...WriterError.members,
  ReadFailed,
  ReadOverflow,
  ReadTimeout,
  Unauthorized,
  AccountDisabled,
  Forbidden,
  NotFound,
  Conflict,
  InvalidInput,
  MachineIdConflict,
  MachineRevoked,
  CursorGone,
  RequestUnreadable,
  RouteUnknown,
  RequestDefect,
  TooManyRequests,
  QuotaExceeded,
  SocketOverflow,
  LoopOverload,
  Draining,
  AnswerTimeout
)

export type Failure = typeof Failure.Type

/** The tags of all failures, for documents and tests. */
export const tags: ReadonlyArray<Failure["_tag"]> = Failure.members.map((member) => member._tag)

/**
 * The HTTP form of a failure. `error` is a string in every body, because
 * clients of any age show it.
 */
export interface HttpFailure {
  readonly status: number
  readonly retryAfterMillis: number | undefined
  readonly body: { readonly error: string } & { readonly [field: string]: unknown }
}

/**
 * The one place where a failure becomes a status. A new failure does not
 * compile until this table contains it; `docs/errors.md` explains each line.
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
      const retryAfterMillis = WriteFailure.spread(millis, jitter)
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
  /** As the library answers a failed write. */
  const asLibrary = ({ _tag }: { readonly _tag: WriterError["_tag"] }): HttpFailure => {
    const { retryAfterMillis, text } = WriteFailure.terms[_tag]
    return (retryAfterMillis === undefined ? never(text) : later(retryAfterMillis, text))({ _tag })
  }
  const unstorable = protocol(400, "A text holds a character, or is so long, that the database cannot store it")
  return Match.value(failure).pipe(
    Match.tagsExhaustive({
      LaneOverflow: asLibrary,
      PermitTimeout: asLibrary,
      NestedPermit: asLibrary,
      DatabaseBusy: asLibrary,
      WriteUnconfirmed: asLibrary,
      // Routes catch the conflicts that their clients cause. The others are races with another request: try again.
      WriteConflict: later(1000, "The row was changed by somebody else"),
      // For the same reason a constraint that is violated here is a defect of the server.
      WriteRejected: (failure) =>
        isUnstorable(failure) ? unstorable : never(WriteFailure.terms.WriteRejected.text)(failure),
      WriteUndecodable: asLibrary,
      ConnectionLost: asLibrary,
      ConnectionGone: asLibrary,
      DatabaseFull: asLibrary,
      DatabaseReadonly: asLibrary,
      DatabaseIo: asLibrary,
      DatabaseCorrupt: asLibrary,
      DatabaseMoved: asLibrary,
      WriterClosed: asLibrary,
      // A read may succeed when it is repeated, a row that does not fit never does. Damage answers as for writes.
      ReadFailed: (failure) => {
        if (isUnstorable(failure)) return unstorable
        if (isDamage(failure)) return asLibrary({ _tag: "DatabaseCorrupt" })
        return failure.isRetryable
          ? later(1000, "The database cannot be read now")(failure)
          : never("What is stored cannot be read")(failure)
      },
      ReadOverflow: later(2000, "The server is overloaded"),
      ReadTimeout: later(1000, "The server is busy"),
      Unauthorized: ({ error }) => protocol(401, error),
      AccountDisabled: later(60_000, "This account is disabled by the operator of the server"),
      Forbidden: ({ error }) => protocol(403, error),
      NotFound: ({ error, what }) => protocol(404, error ?? `${what} not found`),
      Conflict: ({ error }) => protocol(409, error),
      InvalidInput: ({ error }) => protocol(400, error),
      MachineIdConflict: () =>
        protocol(409, "machine_id_conflict", { message: "This machine id belongs to another account" }),
      MachineRevoked: () => protocol(410, machineRevoked),
      CursorGone: ({ currentCursor }) => protocol(410, "cursor-gone", { currentCursor }),
      RequestUnreadable: ({ error, message, status }) =>
        protocol(status, error ?? "Error", { message, statusCode: status }),
      RouteUnknown: ({ method, path }) => protocol(404, "Not found", { path, method }),
      RequestDefect: () =>
        protocol(500, "Internal Server Error", { message: "An unexpected error occurred", statusCode: 500 }),
      TooManyRequests: (failure) => later(failure.retryAfterMillis, "Too many requests", 429)(failure),
      // Clients keep what they could not send after a 503. The app shows the text.
      QuotaExceeded: later(60_000, "The storage of this account is full. Delete sessions to make room"),
      SocketOverflow: later(2000, "Too many sockets connect at once"),
      LoopOverload: later(2000, "The server is overloaded"),
      Draining: later(2000, "The server is shutting down"),
      AnswerTimeout: later(1000, "The server did not answer in time")
    })
  )
}
