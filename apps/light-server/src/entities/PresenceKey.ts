/** What is kept online: sessions and machines, each with the account that it belongs to. */
import type { KeyOf, PresenceKinds } from "presence-effect/presence/PresenceKind"

/** Ids of both are unique over all accounts. Their other columns have the names that the library expects. */
export const kinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" }
} as const satisfies PresenceKinds

export type PresenceKey = KeyOf<typeof kinds>

export type PresenceKind = PresenceKey["kind"]

export const session = (accountId: string, id: string): PresenceKey => ({ kind: "session", accountId, id })

export const machine = (accountId: string, id: string): PresenceKey => ({ kind: "machine", accountId, id })
