/**
 * The order of events over the sockets of one client. Older agents send without an ack and rely on the order of what
 * they send: events sent over a broken socket are stored before those sent over the next one.
 */
import { Deferred, Effect, FiberId } from "effect"
import type { Connection } from "../Connection.ts"

/** A queue of one socket that is not empty. The queue of a disconnected socket only becomes shorter. */
interface Queue {
  readonly isOpen: () => boolean
  readonly ended: Deferred.Deferred<void>
}

/** The place of a queue among those of the same client. */
export interface Turn {
  /** Waits for earlier events of sockets that have disconnected. */
  readonly begins: Effect.Effect<void>
  /** The queue is empty: its events are stored, refused or lost. */
  readonly end: () => void
}

/** Gives a new queue of one socket its turn, by the name of its events. */
export type TurnOf = (event: string) => Turn

export interface Succession {
  readonly of: (connection: Connection, isOpen: () => boolean) => TurnOf
}

const clientOf = ({ accountId, scope }: Connection): string => {
  switch (scope._tag) {
    case "User":
      return `account ${accountId}`
    case "Session":
      return `session ${accountId} ${scope.sessionId}`
    case "Machine":
      return `machine ${accountId} ${scope.machineId}`
  }
}

export const make = (): Succession => {
  const clients = new Map<string, Set<Queue>>()
  return {
    of: (connection, isOpen) => {
      const client = clientOf(connection)
      return (event) => {
        const name = `${client} ${event}`
        const queues = clients.get(name) ?? new Set()
        // Sockets that are open at the same time belong to different clients, and do not wait for each other.
        const left = [...queues].filter((queue) => !queue.isOpen())
        const own: Queue = { isOpen, ended: Deferred.unsafeMake(FiberId.none) }
        queues.add(own)
        clients.set(name, queues)
        return {
          begins: Effect.forEach(left, ({ ended }) => Deferred.await(ended), { discard: true }),
          end: () => {
            queues.delete(own)
            if (queues.size === 0 && clients.get(name) === queues) clients.delete(name)
            Deferred.unsafeDone(own.ended, Effect.void)
          }
        }
      }
    }
  }
}
