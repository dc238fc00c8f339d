import type { PresenceStorage } from "../../presence/PresenceStorage.ts"

/**
 * What is stored of a row.
 */
export interface StoredRow {
  readonly active: boolean
  readonly lastActiveMillis: number
}

/**
 * A storage with the means to look behind it. A case begins with empty tables.
 */
export interface World {
  readonly storage: PresenceStorage["Type"]
  /** Stores a row behind the back of `storage`. */
  readonly insert: (kind: string, id: string, accountId: string, row: StoredRow) => void
  /** What is stored; `undefined` when there is no row. */
  readonly read: (kind: string, id: string) => StoredRow | undefined
  /** How many rows a flush writes at first before it lets other writes pass. The suite flushes one more. */
  readonly chunkRows: number
}
