/**
 * Stops reading a connection: a websocket is paused, so that the window of TCP
 * stops its sender; the next request of a client that polls waits for its turn.
 *
 * **Source**: middlewares of the engine,
 * https://socket.io/docs/v4/server-instance/#serverengineuse
 */
import type { IncomingMessage } from "node:http"
import type { ReadControl } from "./BackPressure.ts"
import type { Io, Socket } from "../Socket.ts"

type EngineConnection = Socket["conn"]

interface Pausable {
  readonly pause: () => void
  readonly resume: () => void
}

const isPausable = (value: unknown): value is Pausable =>
  typeof value === "object" &&
  value !== null &&
  "pause" in value &&
  typeof value.pause === "function" &&
  "resume" in value &&
  typeof value.resume === "function"

/** The websocket under a transport. A transport that polls has none. */
const websocketOf = (transport: unknown): Pausable | undefined =>
  typeof transport === "object" && transport !== null && "socket" in transport && isPausable(transport.socket)
    ? transport.socket
    : undefined

/** The id of the connection that a request belongs to. */
const connectionIdOf = ({ url = "" }: IncomingMessage): string | undefined =>
  new URLSearchParams(url.slice(url.indexOf("?") + 1)).get("sid") ?? undefined

export interface ReadControls {
  readonly of: (connection: EngineConnection) => ReadControl
}

export const make = (io: Io): ReadControls => {
  /** Requests with data that wait, of each connection that is not read now. */
  const waiting = new Map<string, Array<() => void>>()
  io.engine.use((request: IncomingMessage, _: unknown, next: () => void) => {
    const id = request.method === "POST" ? connectionIdOf(request) : undefined
    const queue = id === undefined ? undefined : waiting.get(id)
    if (queue === undefined) next()
    else queue.push(next)
  })
  return {
    of: (connection) => {
      const id = connection["id"]
      const resume = () => {
        const queue = waiting.get(id)
        if (queue === undefined) return
        waiting.delete(id)
        websocketOf(connection.transport)?.resume()
        for (const next of queue) next()
      }
      // A connection that was upgraded meanwhile goes on over its new transport.
      connection.on("upgrade", (transport: unknown) => {
        if (waiting.has(id)) websocketOf(transport)?.pause()
      })
      connection.once("close", resume)
      return {
        pause: () => {
          if (connection.readyState !== "open") return
          waiting.set(id, [])
          websocketOf(connection.transport)?.pause()
        },
        resume
      }
    }
  }
}
