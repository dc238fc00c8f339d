/**
 * Sending the sockets of an account away, because its tokens ended.
 *
 * @since 0.1.0
 */
import { countRefusal } from "./RealtimeMetrics.ts"
import * as Room from "./Room.ts"
import type { Io, Socket } from "./SocketServer.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Dismissals {
  /** Refuses every socket of the account for good: its clients are told why and stay away. */
  readonly dismiss: (accountId: string, message: string) => void
  /** Closes the transport of every socket of the account: its clients come back, and are verified anew. */
  readonly recall: (accountId: string) => void
  /** How often accounts were sent away. A handshake that began before the last time proves nothing any more. */
  readonly count: () => number
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (io: Io): Dismissals => {
  let count = 0
  const each = (accountId: string, send: (socket: Socket) => void) => {
    count += 1
    // Whoever is sent leaves the room.
    const ids = Array.from(io.of("/").adapter.rooms.get(Room.ofAccount(accountId)) ?? [])
    for (const id of ids) {
      const socket = io.of("/").sockets.get(id)
      if (socket !== undefined) send(socket)
    }
  }
  return {
    dismiss: (accountId, message) =>
      each(accountId, (socket) => {
        countRefusal("refused")
        socket.emit("error", { message })
        socket.disconnect(true)
      }),
    recall: (accountId) =>
      each(accountId, (socket) => {
        countRefusal("unverified")
        socket.conn.close()
      }),
    count: () => count
  }
}
