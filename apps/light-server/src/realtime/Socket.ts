/** The types of our sockets: their events, and the data of each socket. */
import type { Server, Socket as AnySocket } from "socket.io"
import type { Slot } from "./arrival/ConnectionSlots.ts"
import type { Connection } from "./Connection.ts"

/** The result of `io.use`, which `connection` acts on. */
export type Verdict =
  | {
      readonly _tag: "Accepted"
      readonly accountId: string
      readonly scope: Connection["scope"]
      /** The session that the connection speaks for is archived. */
      readonly isArchived?: boolean
    }
  /** For good: the client receives the reason and does not come back. */
  | { readonly _tag: "Refused"; readonly message: string }

export interface ServerEvents {
  readonly error: (refusal: { readonly message: string }) => void
  readonly update: (update: object) => void
  readonly ephemeral: (ephemeral: object) => void
  readonly "rpc-registered": (registration: { readonly method: string }) => void
  readonly "rpc-unregistered": (registration: { readonly method: string }) => void
  readonly "rpc-error": (refusal: { readonly type: "register" | "unregister"; readonly error: string }) => void
  readonly "rpc-request": (
    request: { readonly method: string; readonly params: unknown },
    answer: (result?: unknown) => void
  ) => void
}

/** Any event may come in: `EventRegistry` has the known ones. */
export interface ClientEvents {
  readonly [event: string]: (...args: Array<unknown>) => void
}

/** The data of a socket between its handshake and its end. */
export interface SocketState {
  verdict?: Verdict
  /** The count of `disconnects` before the verification began. */
  disconnectCount?: number
  /** Taken with a verdict that accepts. */
  slot?: Slot
}

export type Socket = AnySocket<ClientEvents, ServerEvents, Record<never, never>, SocketState>

export type Io = Server<ClientEvents, ServerEvents, Record<never, never>, SocketState>
