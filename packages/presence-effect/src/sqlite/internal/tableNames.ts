/** The table of a kind and its columns, with the defaults filled in. */
import type { PresenceKind } from "../../presence/PresenceKind.ts"
import { isKeyedByAccount } from "../../presence/PresenceKind.ts"

export interface TableNames {
  readonly table: string
  readonly id: string
  /** `undefined`: rows have no account. */
  readonly accountId: string | undefined
  readonly active: string
  readonly lastActiveAt: string
  /** `undefined`: one process is alone with the rows. */
  readonly servedBy: string | undefined
  /** The account and the id name a row together. */
  readonly isKeyedByAccount: boolean
}

export const tableNames = (name: string, kind: PresenceKind): TableNames => ({
  table: kind.table ?? name,
  id: kind.id ?? "id",
  accountId: kind.accountId,
  active: kind.active ?? "active",
  lastActiveAt: kind.lastActiveAt ?? "lastActiveAt",
  servedBy: kind.servedBy,
  isKeyedByAccount: isKeyedByAccount(kind)
})

/** The options of a kind that name something in the file. */
export const namedOptions = (names: TableNames): ReadonlyArray<readonly [option: string, name: string]> =>
  (["table", "id", "accountId", "active", "lastActiveAt", "servedBy"] as const).flatMap((option) => {
    const name = names[option]
    return name === undefined ? [] : [[option, name] as const]
  })

/** What SQLite can quote. Longer than 128 is no name but a mistake. */
export const isName = (name: string): boolean =>
  name.length > 0 && name.length <= 128 && name.isWellFormed() && !name.includes("\u0000")

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`
