/** The rows that the simulation keeps online, as the light server does. */
import * as Presence from "presence-effect/Presence"
import type * as PresenceKind from "presence-effect/presence/PresenceKind"

const kinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" }
} as const satisfies PresenceKind.PresenceKinds

export type PresenceKey = PresenceKind.KeyOf<typeof kinds>

export const session = (accountId: string, id: string): PresenceKey => ({ kind: "session", accountId, id })

export const machine = (accountId: string, id: string): PresenceKey => ({ kind: "machine", accountId, id })

export class SimulatedPresence extends Presence.Tag("simulation/Presence", kinds)<SimulatedPresence>() {}

export type Transition = Presence.Transition<PresenceKey>
