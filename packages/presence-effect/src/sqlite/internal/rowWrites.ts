/**
 * The writes of presence to one table, with their rows decoded.
 */
import * as Schema from "effect/Schema"
import type * as FlushBatch from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import type { BelievableTimes, StaleRow } from "../../presence/PresenceStorage.ts"
import * as Write from "../../writer/Write.ts"
import * as caseUpdate from "./caseUpdate.ts"

/** An id as a text, also of a column that holds whole numbers. */
export const Id = Schema.Union(Schema.String, Schema.Number, Schema.BigIntFromSelf)
// Without `millis` for engines that only stand in for one.
const FlushedRow = Schema.Struct({ id: Id, active: Schema.Number, millis: Schema.optional(Schema.Number) })
const OfflineRow = Schema.Struct({ id: Id, millis: Schema.Number })

/** No statement when there are no entries. Ends alone do not wait for room on the disk. */
export const flushWrite = (sql: string, entries: ReadonlyArray<FlushBatch.FlushEntry>, latestMillis: number) => {
  if (entries.length === 0) return Write.map(Write.empty, () => emptyResult)
  const write = Write.statement(sql, [latestMillis, caseUpdate.flushJson(entries)], { isAtomic: true }).pipe(
    Write.decodeRows(FlushedRow),
    Write.map((rows) => resultOf(entries, rows))
  )
  return entries.some(({ state }) => state === "alive") ? write : Write.withReserve(write)
}

export const offlineWrite = (
  sql: string,
  keys: ReadonlyArray<PresenceKey>,
  { firstMillis, lastMillis }: BelievableTimes
) => {
  if (keys.length === 0) return Write.map(Write.empty, (): ReadonlyArray<StaleRow> => [])
  const byId = new Map(keys.map((key) => [key.id, key]))
  return Write.statement(sql, [caseUpdate.keysJson(keys), firstMillis, lastMillis]).pipe(
    Write.decodeRows(OfflineRow),
    Write.map((rows) =>
      rows.flatMap(({ id, millis }): ReadonlyArray<StaleRow> => {
        const key = byId.get(String(id))
        return key === undefined ? [] : [{ key, lastSeenMillis: millis }]
      })
    ),
    Write.withReserve
  )
}

/** Sessions first, then machines. */
export const partition = <K extends PresenceKey>(
  keys: ReadonlyArray<K>
): readonly [ReadonlyArray<K>, ReadonlyArray<K>] => [
  keys.filter(({ kind }) => kind === "session"),
  keys.filter(({ kind }) => kind === "machine")
]

const emptyResult: FlushBatch.FlushResult = { written: [], superseded: [], missing: [] }

const resultOf = (
  entries: ReadonlyArray<FlushBatch.FlushEntry>,
  rows: ReadonlyArray<typeof FlushedRow.Type>
): FlushBatch.FlushResult => {
  const byId = new Map(rows.map((row) => [String(row.id), row]))
  const written: Array<FlushBatch.StoredEntry> = []
  const superseded: Array<FlushBatch.StoredEntry> = []
  const missing: Array<FlushBatch.FlushEntry> = []
  for (const entry of entries) {
    const row = byId.get(entry.id)
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
