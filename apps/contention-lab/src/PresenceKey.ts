/** The rows that are kept online in the lab: those of the incident. */
import type { KeyOf, PresenceKinds } from "presence-effect/presence/PresenceKind"

export const kinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" }
} as const satisfies PresenceKinds

export type PresenceKey = KeyOf<typeof kinds>

export type PresenceKind = PresenceKey["kind"]

export const session = (accountId: string, id: string): PresenceKey => ({ kind: "session", accountId, id })

export const machine = (accountId: string, id: string): PresenceKey => ({ kind: "machine", accountId, id })
