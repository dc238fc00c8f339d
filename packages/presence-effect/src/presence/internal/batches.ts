/** What the batches of a tick take of the rows, and what becomes of them. */
import * as Effect from "effect/Effect"
import type { FlushBatch, FlushEntry, FlushResult } from "../FlushBatch.ts"
import type { PresenceKey } from "../PresenceKey.ts"
import type { Reason, Row } from "./row.ts"
import type { RowTable } from "./rowTable.ts"
import type { RowTables } from "./rowTables.ts"
import { sorted } from "./sortedRuns.ts"

/** A row that waits to be written. */
export interface Candidate {
  readonly table: RowTable
  readonly row: Row
}

/** A row became offline in the database. */
interface Offline {
  readonly key: PresenceKey
  readonly lastSeenMillis: number
  readonly reason: Reason | "outdated"
}

const makeConfirm =
  ({ tableOf, rowOf }: Pick<RowTables, "tableOf" | "rowOf">) =>
  (result: FlushResult, nowMillis = 0) => {
    const transitions: Array<Offline> = []
    const happened = ({ kind }: PresenceKey, row: Row, reason: Offline["reason"]) =>
      transitions.push({ key: tableOf(kind).identity.keyOf(row), lastSeenMillis: row.seen, reason })
    for (const entry of result.written) {
      const row = rowOf(entry)
      const reason = row === undefined ? undefined : tableOf(entry.kind).confirm(row, entry)
      if (row !== undefined && reason !== undefined) happened(entry, row, reason)
    }
    for (const entry of result.superseded) {
      const row = rowOf(entry)
      if (row !== undefined && tableOf(entry.kind).superseded(row, entry, nowMillis)) happened(entry, row, "outdated")
    }
    for (const entry of result.missing) {
      const row = rowOf(entry)
      if (row !== undefined && row.holds > 0) tableOf(entry.kind).remove(row)
    }
    for (const entry of result.elsewhere ?? []) {
      const row = rowOf(entry)
      if (row === undefined || row.holds === 0) continue
      // It leaves quietly, unless it is back here: then the next tick writes so.
      if (row.state === "offline") tableOf(entry.kind).remove(row)
      else tableOf(entry.kind).giveBack(row, entry)
    }
    return transitions
  }

const noRows: FlushBatch = { entries: [] }

export const make = ({ tables, tableOf, rowOf }: RowTables) => ({
  order: Effect.map(
    Effect.forEach(tables, (table) => sorted(Array.from(table.pending.keys()), table.identity.isBefore)),
    (rowsOfTables) => candidates(tables, rowsOfTables)
  ),
  takeNext: (order: Iterator<Candidate>, limit: number): FlushBatch => {
    const entries: Array<FlushEntry> = []
    while (entries.length < limit) {
      const next = order.next()
      if (next.done === true) break
      const { row, table } = next.value
      const entry = table.take(row)
      if (entry !== undefined) entries.push(entry)
    }
    return entries.length === 0 ? noRows : { entries }
  },
  takeDirty: (): FlushBatch => {
    const entries: Array<FlushEntry> = []
    for (const table of tables) {
      for (const row of table.pending.keys()) {
        const entry = table.take(row)
        if (entry !== undefined) entries.push(entry)
      }
    }
    return { entries }
  },
  takeKey: (key: PresenceKey): FlushBatch => {
    const row = rowOf(key)
    const entry = row === undefined ? undefined : tableOf(key.kind).take(row)
    return entry === undefined ? noRows : { entries: [entry] }
  },
  confirm: makeConfirm({ tableOf, rowOf }),
  giveBack: (batch: FlushBatch): void => {
    for (const entry of batch.entries) {
      const row = rowOf(entry)
      if (row !== undefined) tableOf(entry.kind).giveBack(row, entry)
    }
  },
  park: (batch: FlushBatch, nowMillis: number): void => {
    for (const entry of batch.entries) {
      const row = rowOf(entry)
      if (row !== undefined) tableOf(entry.kind).refused(row, entry, nowMillis)
    }
  },
  unpark: (nowMillis: number): void => {
    for (const table of tables) table.unpark(nowMillis)
  }
})

function* candidates(
  tables: ReadonlyArray<RowTable>,
  rowsOfTables: ReadonlyArray<Iterable<Row>>
): Generator<Candidate, void> {
  for (const [index, table] of tables.entries()) {
    for (const row of rowsOfTables[index] ?? []) yield { table, row }
  }
}
