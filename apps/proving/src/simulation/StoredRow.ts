import type { PresenceKey } from "./PresenceKey.ts"

/** What the file says about a row. */
export interface StoredRow extends PresenceKey {
  readonly isActive: boolean
  readonly lastMillis: number
}

export const nameOf = ({ id, kind }: PresenceKey): string => `${kind} ${id}`

export const show = ({ isActive, lastMillis }: StoredRow): string => `${isActive ? "online" : "offline"}@${lastMillis}`
