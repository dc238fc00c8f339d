/** A verified connection: its account and its scope. */
import { session, machine, type PresenceKey } from "../entities/PresenceKey.ts"

/**
 * The scope of a connection: a whole account (an app), one session (an agent)
 * or one machine (a daemon).
 */
export type ConnectionScope =
  | { readonly _tag: "User" }
  | { readonly _tag: "Session"; readonly sessionId: string }
  | { readonly _tag: "Machine"; readonly machineId: string }

export interface Connection {
  /** Id of the socket. */
  readonly id: string
  readonly accountId: string
  readonly scope: ConnectionScope
}

/** The row that the connection keeps online. `undefined` for an app. */
export const presenceKey = (accountId: string, scope: ConnectionScope): PresenceKey | undefined => {
  switch (scope._tag) {
    case "User":
      return undefined
    case "Session":
      return session(accountId, scope.sessionId)
    case "Machine":
      return machine(accountId, scope.machineId)
  }
}

/** The name of the scope in the protocol and in metrics. */
export const clientType = (scope: ConnectionScope): "user-scoped" | "session-scoped" | "machine-scoped" => {
  switch (scope._tag) {
    case "User":
      return "user-scoped"
    case "Session":
      return "session-scoped"
    case "Machine":
      return "machine-scoped"
  }
}
