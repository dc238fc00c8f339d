/**
 * Disconnects sockets when the tokens of their account, or their machine, were
 * revoked.
 */
import { LRUCache } from "lru-cache"
import { countRefusal } from "../RealtimeMetrics.ts"
import * as Room from "../sending/Room.ts"
import type { Io, Socket } from "../Socket.ts"

export interface Disconnects {
  /** Refuses every socket of the account for good: its clients receive the reason and stay away. */
  readonly disconnect: (accountId: string, message: string) => void
  /** The same for the sockets of one machine. */
  readonly disconnectMachine: (accountId: string, machineId: string, message: string) => void
  /** The same for the sockets that showed one token. */
  readonly disconnectToken: (accountId: string, tokenId: string, message: string) => void
  /** Closes the transport of every socket of the account: its clients come back, and are verified again. */
  readonly recall: (accountId: string) => void
  /** The number of disconnects so far. */
  readonly count: () => number
  /**
   * Sockets of the account were disconnected after the given count: the result of a handshake that began before is
   * outdated.
   */
  readonly isSince: (accountId: string, count: number) => boolean
}

/** Many times the number of accounts that revoke their tokens during one handshake. */
const accountsMax = 10_000

/** Refuses a socket for good: its client receives the reason and stays away. */
export const refuse = (socket: Socket, message: string): void => {
  countRefusal("refused")
  socket.emit("error", { message })
  socket.disconnect(true)
}

export const make = (io: Io): Disconnects => {
  let count = 0
  /** The newest of the forgotten counts: it applies to all accounts that are not remembered. */
  let forgotten = 0
  const last = new LRUCache<string, number>({
    max: accountsMax,
    dispose: (at, _, reason) => {
      if (reason === "evict") forgotten = Math.max(forgotten, at)
    }
  })
  const each = (accountId: string, room: string, send: (socket: Socket) => void) => {
    count += 1
    last.set(accountId, count)
    // A disconnected socket leaves the room.
    const ids = Array.from(io.of("/").adapter.rooms.get(room) ?? [])
    for (const id of ids) {
      const socket = io.of("/").sockets.get(id)
      if (socket !== undefined) send(socket)
    }
  }
  return {
    disconnect: (accountId, message) => each(accountId, Room.ofAccount(accountId), (socket) => refuse(socket, message)),
    disconnectMachine: (accountId, machineId, message) =>
      each(accountId, Room.ofMachine(accountId, machineId), (socket) => refuse(socket, message)),
    disconnectToken: (accountId, tokenId, message) =>
      each(accountId, Room.ofToken(tokenId), (socket) => refuse(socket, message)),
    recall: (accountId) =>
      each(accountId, Room.ofAccount(accountId), (socket) => {
        countRefusal("unverified")
        socket.conn.close()
      }),
    count: () => count,
    isSince: (accountId, before) => (last.get(accountId) ?? forgotten) > before
  }
}
