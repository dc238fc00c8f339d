/** Rooms: which sockets join which, and which rooms a message is sent to. */
import type { ConnectionScope } from "../Connection.ts"

/** Rooms that receive a message. A socket in several of them receives it once. */
export type Recipients = ReadonlyArray<string>

const userScoped = (accountId: string) => `user-scoped:${accountId}`
/** Whether the room has the apps of an account. */
export const isOfApps = (room: string): boolean => room.startsWith("user-scoped:")

const session = (sessionId: string) => `session:${sessionId}`
const sessionOf = (accountId: string, sessionId: string) => `session:${sessionId}:${accountId}`
const machineOf = (accountId: string, machineId: string) => `machine:${machineId}:${accountId}`

/** All sockets of an account. */
export const ofAccount = (accountId: string): string => `user:${accountId}`

/** The sockets of one machine. */
export const ofMachine = machineOf

/** The sockets of one session. */
export const ofSession = sessionOf

/** The sockets that showed one token. */
export const ofToken = (tokenId: string): string => `token:${tokenId}`

/** The sockets that miss repeated signs of life until they have caught up. */
export const lagging = "lagging"

/** The rooms of a new connection. */
export const roomsOf = (accountId: string, scope: ConnectionScope): ReadonlyArray<string> => {
  switch (scope._tag) {
    case "User":
      return [ofAccount(accountId), userScoped(accountId)]
    case "Session":
      return [ofAccount(accountId), session(scope.sessionId), sessionOf(accountId, scope.sessionId)]
    case "Machine":
      return [ofAccount(accountId), machineOf(accountId, scope.machineId)]
  }
}

/** The account's apps. */
export const toApps = (accountId: string): Recipients => [userScoped(accountId)]

/** The account's apps and the sockets of one session. */
export const toSession = (accountId: string, sessionId: string): Recipients => [
  userScoped(accountId),
  sessionOf(accountId, sessionId)
]

/** The account's apps and the sockets of one machine. */
export const toMachine = (accountId: string, machineId: string): Recipients => [
  userScoped(accountId),
  machineOf(accountId, machineId)
]
