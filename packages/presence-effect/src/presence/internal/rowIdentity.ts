/** What names a row of one kind. */
import type { PresenceKey } from "../PresenceKey.ts"
import { keyOf, type PresenceKind, type RowKey, rowNameOf } from "../PresenceKind.ts"
import type { Row } from "./row.ts"

/** A program without types may bring anything. */
const isStorable = (text: unknown): boolean => typeof text === "string" && text.isWellFormed()

export class RowIdentity {
  /** The text that tells rows of the kind apart. */
  readonly nameOf: (key: RowKey) => string
  private readonly kind: string
  private readonly hasAccount: boolean

  constructor(name: string, kind: PresenceKind) {
    this.kind = name
    this.hasAccount = kind.accountId !== undefined
    this.nameOf = rowNameOf(kind)
  }

  owns(row: Row, key: PresenceKey): boolean {
    return !this.hasAccount || row.accountId === key.accountId
  }

  /** Such a row can be stored. Asked once for each row that is tracked. */
  accepts({ accountId, id }: PresenceKey): boolean {
    return isStorable(id) && (!this.hasAccount || isStorable(accountId))
  }

  accountOf(key: PresenceKey): string | undefined {
    return this.hasAccount ? key.accountId : undefined
  }

  keyOf(row: Row): PresenceKey {
    return keyOf(this.kind, row.accountId, row.id)
  }

  /** Rows that lie side by side in the table of the kind are written together. */
  readonly isBefore = (a: Row, b: Row): boolean => this.nameOf(a) < this.nameOf(b)
}
