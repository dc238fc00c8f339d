/** The way from one replica to the others. */
import type { AdapterFactory } from "./ReplicaBus.ts"

export interface ReplicaLink {
  /** The name of this process, by which others send to it alone. */
  readonly self: string
  /** Sends to one replica, or to all. Never waits. `false`: not sent. */
  readonly send: (bytes: Uint8Array, to: string | undefined) => boolean
  /** Calls the one listener with what others send, and with what this replica sends to all. */
  readonly receive: (listener: (bytes: Uint8Array) => void) => void
  /** The adapter of socket.io that sends broadcasts on. */
  readonly adapter: AdapterFactory
  /** Why the others cannot be reached now. */
  readonly problem: () => string | undefined
}
