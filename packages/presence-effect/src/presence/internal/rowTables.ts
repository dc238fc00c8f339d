/** The rows of all kinds, and how many there may be. */
import type { PresenceKey } from "../PresenceKey.ts"
import { KindUndeclared, type PresenceKinds, type TermsByKind, termsOf } from "../PresenceKind.ts"
import type { Row } from "./row.ts"
import { RowTable } from "./rowTable.ts"
import * as TableOptions from "./tableOptions.ts"

/** Rows examined for room by one heartbeat that finds the registry full: a flood must not become a scan. */
const makeRoomLimit = 64

export const make = (kinds: PresenceKinds, capacity: number, terms: TermsByKind) => {
  const tables = Object.entries(kinds).map(
    ([name, kind]) => new RowTable(name, kind, TableOptions.make(termsOf(terms, name)))
  )
  // A handful: comparing names is faster than a map, and this runs for every heartbeat. Most follow one of their kind.
  let latest: RowTable | undefined = tables[0]
  const tableOf = (kind: string): RowTable => {
    if (latest?.kind === kind) return latest
    for (const table of tables) if (table.kind === kind) return (latest = table)
    throw new KindUndeclared({ kind, declared: tables.map((table) => table.kind) })
  }
  const rowCount = (): number => {
    let count = 0
    for (const table of tables) count += table.rows.size
    return count
  }
  const hasRoom = (nowMillis: number, limit: number): boolean => {
    if (rowCount() < limit) return true
    for (const table of tables) table.evictEnds(nowMillis, makeRoomLimit)
    return rowCount() < limit
  }
  return {
    tables,
    tableOf,
    rowOf: (key: PresenceKey): Row | undefined => {
      const table = tableOf(key.kind)
      const row = table.find(key)
      return row !== undefined && table.identity.owns(row, key) ? row : undefined
    },
    hasRoom: (nowMillis: number) => hasRoom(nowMillis, capacity),
    hasRoomForEnd: (nowMillis: number) => hasRoom(nowMillis, capacity + Math.max(8, Math.trunc(capacity / 8))),
    sum: (count: (table: RowTable) => number) => (kind?: string) =>
      kind === undefined ? tables.reduce((all, table) => all + count(table), 0) : count(tableOf(kind))
  }
}

export type RowTables = ReturnType<typeof make>
