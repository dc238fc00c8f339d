import type { PresenceKey } from "./PresenceKey.ts"

/** The state of a row in the file. */
export interface StoredRow extends PresenceKey {
  readonly isActive: boolean
  readonly lastMillis: number
}

export const nameOf = ({ id, kind }: PresenceKey): string => `${kind} ${id}`

export const show = ({ isActive, lastMillis }: StoredRow): string => `${isActive ? "online" : "offline"}@${lastMillis}`
