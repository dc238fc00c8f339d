/** Rows on their way to a database server, as JSON, and what came of them, by their number in it. */
import type { FlushEntry, FlushResult, StoredEntry } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { stateCodes } from "../../sqlite/internal/caseUpdate.ts"

export const entriesJson = (entries: ReadonlyArray<FlushEntry>): string =>
  JSON.stringify(
    entries.map(({ accountId, id, seenAtMillis, state }, n) => [
      n,
      id,
      accountId ?? null,
      seenAtMillis,
      stateCodes[state]
    ])
  )

export const keysJson = (keys: ReadonlyArray<PresenceKey>): string =>
  JSON.stringify(keys.map(({ accountId, id }, n) => [n, id, accountId ?? null]))

/** A row of the table after a flush. */
export interface FlushedRow {
  readonly n: number
  readonly active: number
  readonly millis: number
  /** 1: the row was active before. */
  readonly was?: number | undefined
}

/**
 * `isDeferred`: another transaction holds the row, so that its entry was not written. `isElsewhere`: another replica
 * serves the row, so that it was not.
 */
export const resultOf = <R extends FlushedRow>(
  entries: ReadonlyArray<FlushEntry>,
  rows: ReadonlyArray<R>,
  isDeferred: (row: R, entry: FlushEntry) => boolean,
  isElsewhere: (row: R, entry: FlushEntry) => boolean = () => false
): FlushResult => {
  const written: Array<StoredEntry> = []
  const superseded: Array<StoredEntry> = []
  const missing: Array<FlushEntry> = []
  const deferred: Array<FlushEntry> = []
  const elsewhere: Array<FlushEntry> = []
  const byNumber = new Map(rows.map((row) => [row.n, row]))
  for (const [n, entry] of entries.entries()) {
    const row = byNumber.get(n)
    if (row === undefined) missing.push(entry)
    else if (isDeferred(row, entry)) deferred.push(entry)
    else if (isElsewhere(row, entry)) elsewhere.push(entry)
    else {
      const newest = row.millis > entry.seenAtMillis ? { ...entry, storedMillis: row.millis } : entry
      const stored = row.was === 1 && entry.state === "ended" ? { ...newest, wasActive: true as const } : newest
      if ((row.active === 1) === (entry.state === "alive")) written.push(stored)
      else superseded.push(stored)
    }
  }
  return { written, superseded, missing, deferred, ...(elsewhere.length === 0 ? {} : { elsewhere }) }
}
