/** The kinds of most tests: those of the incident. */
import * as Presence from "../../src/Presence.ts"
import type { KeyOf, PresenceKinds } from "../../src/presence/PresenceKind.ts"

export const kinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" }
} as const satisfies PresenceKinds

type Key = KeyOf<typeof kinds>

export const session = (accountId: string, id: string): Key => ({ kind: "session", accountId, id })

export const machine = (accountId: string, id: string): Key => ({ kind: "machine", accountId, id })

export class TestPresence extends Presence.Tag("test/Presence", kinds)<TestPresence>() {}
