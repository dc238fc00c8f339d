/**
 * An answer for a connection without a reply object: it sent something other
 * than a request, or it is about to become a websocket.
 */
import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { type Failure, toHttp } from "./FailureTable.ts"

/** The status, headers and body of a failure. */
export interface RawAnswer {
  readonly status: number
  readonly headers: { readonly [name: string]: string }
  readonly body: string
}

/** `jitter`, from 0 to 1, spreads the moments at which refused clients come back. */
export const of = (failure: Failure, jitter: number): RawAnswer => {
  const { body, retryAfterMillis, status } = toHttp(failure, jitter)
  const text = JSON.stringify(body)
  return {
    status,
    headers: {
      "Content-Type": "application/json; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(text)),
      ...(retryAfterMillis === undefined ? {} : { "Retry-After": String(Math.ceil(retryAfterMillis / 1000)) }),
      Connection: "close"
    },
    body: text
  }
}

/** Writes the answer and closes the connection with it. */
export const send = (socket: Duplex, { body, headers, status }: RawAnswer): void => {
  // The client may be gone before the last byte, and there is no other error listener.
  socket.on("error", () => socket.destroy())
  if (!socket.writable) return void socket.destroy()
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n${body}`, () => socket.destroy())
}
