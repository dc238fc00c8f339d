import * as Effect from "effect/Effect"
import type { PresenceKinds } from "../../presence/PresenceKind.ts"
import type { PresenceStorage } from "../../presence/PresenceStorage.ts"

/** The kinds that a storage of the suite is made for: the forms that a key can have, and a name that must be quoted. */
export const contractKinds = {
  session: { table: "Session", accountId: "accountId" },
  machine: { table: "Machine", accountId: "accountId" },
  sensor: { table: "user-sensors" },
  laptop: { table: "Laptop", accountId: "accountId", key: ["accountId", "id"] }
} as const satisfies PresenceKinds

export type ContractKind = keyof typeof contractKinds

/** What is stored of a row. */
export interface StoredRow {
  readonly active: boolean
  readonly lastActiveMillis: number
}

/** A value now, or a promise of it where looking behind the storage takes time. */
type Now<A> = A | PromiseLike<A>

/** A storage with the means to look behind it. A case begins with empty tables. */
export interface World {
  readonly storage: PresenceStorage["Type"]
  /** Stores a row behind the back of `storage`. The account is ignored for the kind that has none. */
  readonly insert: (kind: ContractKind, id: string, accountId: string, row: StoredRow) => Now<void>
  /** What is stored; `undefined` when there is no row. Without `accountId` the row of any account. */
  readonly read: (kind: ContractKind, id: string, accountId?: string) => Now<StoredRow | undefined>
  /** How many rows a flush writes at first before it lets other writes pass. The suite flushes one more. */
  readonly chunkRows: number
}

/** A world as the cases use it. */
export interface CaseWorld extends Pick<World, "storage" | "chunkRows"> {
  readonly insert: (...args: Parameters<World["insert"]>) => Effect.Effect<void>
  readonly read: (...args: Parameters<World["read"]>) => Effect.Effect<StoredRow | undefined>
}

export const caseWorld = ({ chunkRows, insert, read, storage }: World): CaseWorld => ({
  storage,
  chunkRows,
  insert: (...args) => Effect.promise(async () => insert(...args)),
  read: (...args) => Effect.promise(async () => read(...args))
})
