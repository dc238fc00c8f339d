/** The rows of both kinds, and how many there may be. */
import type { PresenceKey, PresenceKind } from "../PresenceKey.ts"
import type { Row } from "./row.ts"
import { RowTable, type TableOptions } from "./rowTable.ts"

/** Rows examined for room by one heartbeat that finds the registry full: a flood must not become a scan. */
const makeRoomLimit = 64

export const make = (capacity: number, options: TableOptions) => {
  const sessions = new RowTable("session", options)
  const machines = new RowTable("machine", options)
  const tables = [sessions, machines]
  const tableOf = (kind: PresenceKind): RowTable => (kind === "session" ? sessions : machines)
  const hasRoom = (nowMillis: number, limit: number): boolean => {
    if (sessions.rows.size + machines.rows.size < limit) return true
    for (const table of tables) table.evictEnds(nowMillis, makeRoomLimit)
    return sessions.rows.size + machines.rows.size < limit
  }
  return {
    tables,
    tableOf,
    rowOf: (key: PresenceKey): Row | undefined => {
      const row = tableOf(key.kind).rows.get(key.id)
      return row !== undefined && row.accountId === key.accountId ? row : undefined
    },
    hasRoom: (nowMillis: number) => hasRoom(nowMillis, capacity),
    hasRoomForEnd: (nowMillis: number) => hasRoom(nowMillis, capacity + Math.max(8, Math.trunc(capacity / 8))),
    sum: (count: (table: RowTable) => number) => (kind?: PresenceKind) =>
      kind === undefined ? count(sessions) + count(machines) : count(tableOf(kind))
  }
}

export type RowTables = ReturnType<typeof make>
