/**
 * The writes of presence to one table, with their rows decoded.
 */
import * as Schema from "effect/Schema"
import type * as FlushBatch from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { rowNameOf } from "../../presence/PresenceKind.ts"
import type { BelievableTimes, StaleRow } from "../../presence/PresenceStorage.ts"
import * as Write from "../../writer/Write.ts"
import * as caseUpdate from "./caseUpdate.ts"

/** What the writes to the table of one kind need. */
export interface Target {
  readonly flush: string
  readonly offline: string
  /** The account and the id name a row together. */
  readonly isKeyedByAccount: boolean
}

/** An id as a text, also of a column that holds whole numbers. One check: a union tries its members, for each row. */
export const Id = Schema.declare(
  (value): value is string | number | bigint =>
    typeof value === "string" || typeof value === "number" || typeof value === "bigint",
  { identifier: "Id" }
)
// Without `millis` for engines that only stand in for one.
const flushed = { id: Id, active: Schema.Number, millis: Schema.optional(Schema.Number) }
const offline = { id: Id, millis: Schema.Number }
// Two schemas each: most rows have no account to decode.
const FlushedRow = Schema.Struct(flushed)
const FlushedRowOfAccount = Schema.Struct({ ...flushed, account: Id })
const OfflineRow = Schema.Struct(offline)
const OfflineRowOfAccount = Schema.Struct({ ...offline, account: Id })

interface ReturnedKey {
  readonly id: typeof Id.Type
  readonly account?: typeof Id.Type
}

const namesOf = ({ isKeyedByAccount }: Target) => {
  const nameOf = rowNameOf({ key: isKeyedByAccount ? ["accountId", "id"] : ["id"] })
  return {
    ofKey: nameOf,
    ofRow: isKeyedByAccount
      ? ({ account, id }: ReturnedKey) => nameOf({ accountId: String(account), id: String(id) })
      : ({ id }: ReturnedKey) => String(id)
  }
}

/** No statement when there are no entries. Ends alone do not wait for room on the disk. */
export const flushWrite = (
  target: Target,
  entries: ReadonlyArray<FlushBatch.FlushEntry>,
  latestMillis: number
): Write.Write<FlushBatch.FlushResult> => {
  if (entries.length === 0) return Write.map(Write.empty, () => emptyResult)
  const write = Write.statement(target.flush, [latestMillis, caseUpdate.flushJson(entries)], { isAtomic: true }).pipe(
    (self): Write.Write<ReadonlyArray<FlushedRow>> =>
      target.isKeyedByAccount ? Write.decodeRows(self, FlushedRowOfAccount) : Write.decodeRows(self, FlushedRow),
    Write.map((rows) => resultOf(target, entries, rows))
  )
  return entries.some(({ state }) => state === "alive") ? write : Write.withReserve(write)
}

export const offlineWrite = (
  target: Target,
  keys: ReadonlyArray<PresenceKey>,
  { firstMillis, lastMillis }: BelievableTimes
): Write.Write<ReadonlyArray<StaleRow>> => {
  if (keys.length === 0) return Write.map(Write.empty, () => [])
  const names = namesOf(target)
  const byName = new Map(keys.map((key) => [names.ofKey(key), key]))
  return Write.statement(target.offline, [caseUpdate.keysJson(keys), firstMillis, lastMillis]).pipe(
    (self): Write.Write<ReadonlyArray<OfflineRow>> =>
      target.isKeyedByAccount ? Write.decodeRows(self, OfflineRowOfAccount) : Write.decodeRows(self, OfflineRow),
    Write.map((rows) =>
      rows.flatMap((row): ReadonlyArray<StaleRow> => {
        const key = byName.get(names.ofRow(row))
        return key === undefined ? [] : [{ key, lastSeenMillis: row.millis }]
      })
    ),
    Write.withReserve
  )
}

const emptyResult: FlushBatch.FlushResult = { written: [], superseded: [], missing: [] }

interface FlushedRow extends ReturnedKey {
  readonly active: number
  readonly millis?: number | undefined
}

interface OfflineRow extends ReturnedKey {
  readonly millis: number
}

const resultOf = (
  target: Target,
  entries: ReadonlyArray<FlushBatch.FlushEntry>,
  rows: ReadonlyArray<FlushedRow>
): FlushBatch.FlushResult => {
  const names = namesOf(target)
  const byName = new Map(rows.map((row) => [names.ofRow(row), row]))
  const written: Array<FlushBatch.StoredEntry> = []
  const superseded: Array<FlushBatch.StoredEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  for (const entry of entries) {
    const row = byName.get(names.ofKey(entry))
    if (row === undefined) {
      missing.push(entry)
      continue
    }
    const { active, millis = entry.seenAtMillis } = row
    const stored = millis > entry.seenAtMillis ? { ...entry, storedMillis: millis } : entry
    if ((active !== 0) === (entry.state === "alive")) written.push(stored)
    else superseded.push(stored)
  }
  return { written, superseded, missing }
}
