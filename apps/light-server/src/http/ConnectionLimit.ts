/**
 * How many connections there may be, in total and per address, whatever they
 * are used for.
 */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { keyOf } from "../door/ClientAddress.ts"
import * as Tally from "../Tally.ts"

export interface ConnectionLimits {
  /** In total. Zero: no limit. */
  readonly total: number
  /** Per address (IPv6: per /64). Zero: no limit. */
  readonly perAddress: number
}

/** All sockets that may be open at once, those that are connecting, and room for requests. */
export const defaults: ConnectionLimits = { total: 12_000, perAddress: 6000 }

const connections = Tally.gauge("http_connections", "Open connections, those of sockets included")

const refused = Tally.counter("http_connections_refused_total", "Connections that were closed at once, by limit", [
  "limit"
])

/** `isProxy` addresses are shared by many clients and are not limited. */
export const add = (
  server: Pick<Server, "prependListener" | "maxConnections">,
  limits: ConnectionLimits,
  isProxy: (address: string) => boolean
): void => {
  const counts = new Map<string, number>()
  let open = 0
  connections({}, open)
  for (const limit of ["total", "address"]) refused({ limit }, 0)
  if (limits.total > 0) server.maxConnections = limits.total
  server.prependListener("drop", () => refused({ limit: "total" }))
  server.prependListener("connection", (socket: Socket) => {
    const address = socket.remoteAddress ?? ""
    const key = keyOf(address)
    const count = (counts.get(key) ?? 0) + 1
    if (limits.perAddress > 0 && count > limits.perAddress && !isProxy(address)) {
      refused({ limit: "address" })
      // No answer: it would cost as much as the connection that is refused.
      socket.destroy()
      return
    }
    counts.set(key, count)
    open += 1
    connections({}, open)
    socket.once("close", () => {
      const left = (counts.get(key) ?? 1) - 1
      if (left > 0) counts.set(key, left)
      else counts.delete(key)
      open -= 1
      connections({}, open)
    })
  })
}
