/**
 * The answer to a transport that is not opened: the same body, status and
 * `Retry-After` as for any other request.
 */
import { type IncomingMessage, ServerResponse } from "node:http"
import type { Failure } from "../../http/FailureTable.ts"
import * as RawAnswer from "../../http/RawAnswer.ts"

/** The server of engine.io leaves the response of a request that polls with it, and none with one to upgrade. */
const responseOf = (request: IncomingMessage): ServerResponse | undefined =>
  "res" in request && request.res instanceof ServerResponse ? request.res : undefined

/**
 * Answers instead of engine.io, whose own refusals contain neither the reason
 * nor when to come back.
 */
export const send = (request: IncomingMessage, failure: Failure, jitter: number): void => {
  const answer = RawAnswer.of(failure, jitter)
  const response = responseOf(request)
  if (response === undefined) return RawAnswer.send(request.socket, answer)
  response.writeHead(answer.status, answer.headers)
  response.end(answer.body)
}
