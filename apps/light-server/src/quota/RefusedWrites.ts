/**
 * Remembers for a moment which writes of an account were refused. Clients try again and again, and each attempt would
 * occupy the writer that all accounts share: a write that needs no less room is refused from memory.
 */
import type { SqlValue, Write } from "presence-effect/writer/Write"
import * as LruCache from "../LruCache.ts"
import type { QuotaKind } from "./QuotaTriggers.ts"

interface Refused {
  readonly kind: QuotaKind
  readonly weight: number
  readonly untilMillis: number
}

export interface RefusedWrites {
  readonly note: (accountId: string, write: Write<unknown>, kind: QuotaKind, nowMillis: number) => void
  /** The limit that refuses a write as it refused one like it just now. */
  readonly find: (accountId: string, write: Write<unknown>, nowMillis: number) => QuotaKind | undefined
  /** The account has more room than before. */
  readonly free: (accountId: string) => void
  /** How often it had. */
  readonly freedCount: (accountId: string) => number
}

/** At most one attempt a second of each kind of write reaches the writer while it is refused. */
const memoryMillis = 1000

const accountsMax = 10_000

const weightOfValue = (value: SqlValue): number =>
  typeof value === "string" || value instanceof Uint8Array ? value.length : 0

const weightOf = ({ statements }: Write<unknown>): number =>
  statements.reduce((sum, { params }) => params.reduce((sum: number, value) => sum + weightOfValue(value), sum), 0)

/** The first statement of a write that is numbered is the same for all; the one behind it tells them apart. */
const formOf = ({ statements }: Write<unknown>): string => (statements[1] ?? statements[0])?.sql ?? ""

export const make = (): RefusedWrites => {
  const byAccount = LruCache.make<Map<string, Refused>>(accountsMax)
  const freed = LruCache.make<number>(accountsMax)
  return {
    note: (accountId, write, kind, nowMillis) => {
      const forms = byAccount.get(accountId) ?? new Map<string, Refused>()
      forms.set(formOf(write), { kind, weight: weightOf(write), untilMillis: nowMillis + memoryMillis })
      byAccount.set(accountId, forms)
    },
    find: (accountId, write, nowMillis) => {
      const refused = byAccount.get(accountId)?.get(formOf(write))
      if (refused === undefined || nowMillis >= refused.untilMillis) return undefined
      return weightOf(write) >= refused.weight ? refused.kind : undefined
    },
    free: (accountId) => {
      byAccount.delete(accountId)
      freed.set(accountId, (freed.get(accountId) ?? 0) + 1)
    },
    freedCount: (accountId) => freed.get(accountId) ?? 0
  }
}
