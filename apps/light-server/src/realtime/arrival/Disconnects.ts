/**
 * Disconnects sockets when the tokens of their account, or their machine, were
 * revoked, here and on other replicas.
 */
import { Effect, type Scope } from "effect"
import * as LruCache from "../../LruCache.ts"
import type { ReplicaBus } from "../../replicas/ReplicaBus.ts"
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
  /** The same on this replica alone, for what each replica notices by itself. */
  readonly here: Pick<Disconnects, "disconnectMachine" | "recall">
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

/** A disconnect as other replicas receive it. */
interface Notice {
  readonly accountId: string
  readonly room: string
  /** `undefined`: the transports are closed, and the clients come back. */
  readonly message: string | undefined
}

const topic = "disconnect"

const makeHere = (io: Io) => {
  let count = 0
  /** The newest of the forgotten counts: it applies to all accounts that are not remembered. */
  let forgotten = 0
  const last = LruCache.make<number>(accountsMax, {
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
    apply: ({ accountId, message, room }: Notice) =>
      each(accountId, room, (socket) => {
        if (message !== undefined) return refuse(socket, message)
        countRefusal("unverified")
        socket.conn.close()
      }),
    count: () => count,
    isSince: (accountId: string, before: number) => (last.get(accountId) ?? forgotten) > before
  }
}

/** Other replicas do the same until the scope closes. */
export const make = (io: Io, replicas: ReplicaBus): Effect.Effect<Disconnects, never, Scope.Scope> =>
  Effect.gen(function* () {
    const here = makeHere(io)
    const everywhere = (accountId: string, room: string, message?: string) => {
      const notice = { accountId, room, message }
      replicas.send(topic, notice)
      here.apply(notice)
    }
    yield* replicas.listen(topic, (notice) => here.apply(notice as Notice))
    return {
      disconnect: (accountId, message) => everywhere(accountId, Room.ofAccount(accountId), message),
      disconnectMachine: (accountId, machineId, message) =>
        everywhere(accountId, Room.ofMachine(accountId, machineId), message),
      disconnectToken: (accountId, tokenId, message) => everywhere(accountId, Room.ofToken(tokenId), message),
      recall: (accountId) => everywhere(accountId, Room.ofAccount(accountId)),
      here: {
        disconnectMachine: (accountId, machineId, message) =>
          here.apply({ accountId, room: Room.ofMachine(accountId, machineId), message }),
        recall: (accountId) => here.apply({ accountId, room: Room.ofAccount(accountId), message: undefined })
      },
      count: here.count,
      isSince: here.isSince
    }
  })
