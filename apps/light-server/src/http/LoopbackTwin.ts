/**
 * The second address of `localhost`. Systems resolve the name to 127.0.0.1, to
 * ::1 or to both, and a client that tries only one of them must find the server.
 */
import type { Server } from "node:http"
import net from "node:net"

export interface LoopbackTwin {
  /** Opens the port on ::1. A machine without IPv6 needs no twin; any other problem rejects. */
  readonly listen: (port: number) => Promise<void>
  /** Closes the port and waits for its connections. */
  readonly close: () => Promise<void>
}

const withoutIpv6 = new Set(["EADDRNOTAVAIL", "EAFNOSUPPORT"])

/** Connections become connections of `server`: its limits, routes and sockets are the same on both addresses. */
export const make = (server: Server): LoopbackTwin => {
  const twin = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit("connection", socket))
  return {
    listen: (port) =>
      new Promise((resolve, reject) => {
        twin.once("error", (error: NodeJS.ErrnoException) =>
          withoutIpv6.has(error.code ?? "") ? resolve() : reject(error)
        )
        twin.listen({ host: "::1", port, ipv6Only: true, backlog: 511 }, () => resolve())
      }),
    close: () => new Promise((resolve) => (twin.listening ? void twin.close(() => resolve()) : resolve()))
  }
}
