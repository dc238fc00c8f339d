/**
 * The order of events over the sockets of one client. Agents of earlier days send without an ack and rely on the order
 * of what they send: what one has sent over a socket that broke is stored before what it sends over the next one.
 */
import { Effect } from "effect"
import type { Connection } from "../Connection.ts"

/** A queue of one socket that is not empty. */
interface Queue {
  readonly isOpen: () => boolean
  addedCount: number
  doneCount: number
  readonly waiters: Set<() => void>
}

/** The place of a queue among those of the same client. */
export interface Turn {
  /** Waits for what came before over earlier sockets. */
  readonly begins: Effect.Effect<void>
  readonly added: () => void
  readonly done: () => void
  /** The queue is empty. */
  readonly end: () => void
}

/** Gives a queue of one socket its turn, by the name of its events. */
export type TurnOf = (event: string) => Turn

export interface Succession {
  readonly of: (connection: Connection, isOpen: () => boolean) => TurnOf
}

/** Waits until as many events of a queue are done. An event that is lost or refused is done, too. */
const untilDone = (queue: Queue, count: number): Effect.Effect<void> =>
  Effect.async((resume) => {
    const look = () => {
      if (queue.doneCount < count) return
      queue.waiters.delete(look)
      resume(Effect.void)
    }
    queue.waiters.add(look)
    look()
    return Effect.sync(() => queue.waiters.delete(look))
  })

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
      // The apps of an account are many clients. One that came back is behind a socket that has left.
      const isOneClient = connection.scope._tag !== "User"
      return (event) => {
        const name = `${client} ${event}`
        const queues = clients.get(name) ?? new Set()
        const before = [...queues]
          .filter((queue) => isOneClient || !queue.isOpen())
          .map((queue) => untilDone(queue, queue.addedCount))
        const own: Queue = { isOpen, addedCount: 0, doneCount: 0, waiters: new Set() }
        queues.add(own)
        clients.set(name, queues)
        return {
          begins: Effect.all(before, { discard: true }),
          added: () => void (own.addedCount += 1),
          done: () => {
            own.doneCount += 1
            for (const look of own.waiters) look()
          },
          end: () => {
            queues.delete(own)
            if (queues.size === 0 && clients.get(name) === queues) clients.delete(name)
          }
        }
      }
    }
  }
}
