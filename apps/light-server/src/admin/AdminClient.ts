/** The other side of the admin socket: what a command asks of the running server. */
import { Effect, Schema } from "effect"
import http from "node:http"
import path from "node:path"
import * as SystemCode from "../SystemCode.ts"
import * as AdminProtocol from "./AdminProtocol.ts"
import { command } from "../Version.ts"

/** No server listens on the socket of the data directory. Nothing done. */
export class ServerNotRunning extends Schema.TaggedError<ServerNotRunning>("light-server/ServerNotRunning")(
  "ServerNotRunning",
  { path: Schema.String, code: Schema.String }
) {
  override get message(): string {
    return (
      `no server runs on this data directory: ${this.path} does not answer (${this.code}); ` +
      `start it with \`${command} serve\``
    )
  }
}

/** The socket belongs to another user. Nothing done. */
export class AdminForbidden extends Schema.TaggedError<AdminForbidden>("light-server/AdminForbidden")(
  "AdminForbidden",
  { path: Schema.String }
) {
  override get message(): string {
    return `${this.path} may only be used by the user of the server; run the command as that user`
  }
}

/** The server answered with a refusal. */
export class AdminRefused extends Schema.TaggedError<AdminRefused>("light-server/AdminRefused")("AdminRefused", {
  status: Schema.Int,
  code: Schema.optional(Schema.String),
  error: Schema.String
}) {
  override get message(): string {
    return `the server refused: ${this.error}${this.code === undefined ? "" : ` (${this.code})`}`
  }
}

/** The server took the request and did not answer in time, or not in a form of this version. It may have been done. */
export class AdminUnanswered extends Schema.TaggedError<AdminUnanswered>("light-server/AdminUnanswered")(
  "AdminUnanswered",
  { reason: Schema.String }
) {
  override get message(): string {
    return `the server gave no usable answer: ${this.reason}`
  }
}

export type AdminError = ServerNotRunning | AdminForbidden | AdminRefused | AdminUnanswered

export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  readonly path: string
  readonly body?: unknown
  /** Longest wait for the answer, 10 seconds unless given. */
  readonly withinMillis?: number
}

const answerBytesMax = 64 * 1024 * 1024

const unreachable = (socketPath: string, cause: Error): AdminError => {
  const code = SystemCode.of(cause)
  if (code === "EACCES" || code === "EPERM") return new AdminForbidden({ path: socketPath })
  return ["ENOENT", "ECONNREFUSED", "ENOTSOCK", "ENAMETOOLONG", "EINVAL"].includes(code)
    ? new ServerNotRunning({ path: socketPath, code })
    : new AdminUnanswered({ reason: code === "UNKNOWN" ? cause.message : code })
}

const exchange = (socketPath: string, { body, method, path, withinMillis = 10_000 }: Request) =>
  Effect.async<{ readonly status: number; readonly text: string }, AdminError>((resume, signal) => {
    const payload = body === undefined ? undefined : JSON.stringify(body)
    const request = http.request(
      {
        socketPath,
        method,
        path,
        signal,
        headers: payload === undefined ? {} : { "content-type": "application/json" }
      },
      (response) => {
        let text = ""
        response.setEncoding("utf8")
        response.on("data", (part: string) => {
          text += part
          if (text.length > answerBytesMax) request.destroy(new Error("the answer is too long"))
        })
        response.on("end", () => resume(Effect.succeed({ status: response.statusCode ?? 0, text })))
        response.on("error", (cause) => resume(Effect.fail(new AdminUnanswered({ reason: cause.message }))))
      }
    )
    request.on("error", (cause) => resume(Effect.fail(unreachable(socketPath, cause))))
    request.setTimeout(withinMillis, () => request.destroy(new Error(`none within ${withinMillis} ms`)))
    request.end(payload)
  })

const decodeRefusal = Schema.decodeUnknownOption(Schema.parseJson(AdminProtocol.Refusal))

/** Sends a request to the server of the data directory and decodes its answer. */
export const ask = <A, I>(
  dataDirectory: string,
  request: Request,
  answer: Schema.Schema<A, I>
): Effect.Effect<A, AdminError> =>
  Effect.gen(function* () {
    const { status, text } = yield* exchange(path.join(dataDirectory, AdminProtocol.socketName), request)
    if (status !== 200) {
      const refusal = decodeRefusal(text)
      return yield* refusal._tag === "None"
        ? new AdminUnanswered({ reason: `status ${status}` })
        : new AdminRefused({ status, error: refusal.value.error, code: refusal.value.code })
    }
    return yield* Effect.mapError(
      Schema.decode(Schema.parseJson(answer))(text),
      () => new AdminUnanswered({ reason: "it is of another version than this command" })
    )
  })
