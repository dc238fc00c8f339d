/**
 * From a batch to one statement per table: constant text, one JSON parameter.
 *
 * The CASE decides per row. A branch per row would cost quadratic time, to
 * compile and to run; a join with the values does not.
 */
import type { FlushEntry, FlushState } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"

/** How a table stores times: epoch milliseconds, or `YYYY-MM-DDTHH:MM:SS.sss+00:00`. */
export type TimeForm = "integer" | "iso"

/** A table with its columns. Every name has been validated by `isIdentifier`. */
export interface TableNames {
  readonly table: string
  readonly id: string
  readonly accountId: string
  readonly active: string
  readonly lastActiveAt: string
}

export interface TableShape extends TableNames {
  readonly timeForm: TimeForm
  /** The index of the primary key, when it has one. */
  readonly primaryIndex: string | undefined
}

export const isIdentifier = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(name)

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** Milliseconds of a stored time, whatever its form: one file may hold all three. Unreadable counts as never. */
const millisOf = (column: string): string =>
  `coalesce(CASE typeof(${column}) WHEN 'text' ` +
  `THEN CAST(round(unixepoch(${column}, 'subsec') * 1000) AS INTEGER) ELSE ${column} END, 0)`

const isoOf = (millis: string): string =>
  `strftime('%Y-%m-%dT%H:%M:%S', ${millis} / 1000, 'unixepoch') || printf('.%03d+00:00', ${millis} % 1000)`

const columnsOf = (shape: TableNames) => {
  const table = quote(shape.table)
  return {
    table,
    id: `${table}.${quote(shape.id)}`,
    accountId: `${table}.${quote(shape.accountId)}`,
    active: `${table}.${quote(shape.active)}`,
    lastActiveAt: `${table}.${quote(shape.lastActiveAt)}`
  }
}

/**
 * Statistics that were gathered while the table was tiny make SQLite scan the
 * table for every entry: 1.3 s instead of 4 ms for 1 000 entries once it has
 * grown to 20 000 rows. Three things together keep the plan right whatever the
 * statistics say: the entries are materialized, they are said to be few, and the
 * table may be reached by its primary key only.
 */
const target = (shape: TableShape): string =>
  quote(shape.table) + (shape.primaryIndex === undefined ? "" : ` INDEXED BY ${quote(shape.primaryIndex)}`)

const stateCodes: { readonly [S in FlushState]: number } = { alive: 0, ended: 1, offline: 2 }

/**
 * Parameters: the latest time that can have been written before this statement runs, in epoch milliseconds, and the
 * entries as JSON. What is stored with a later time was stored before the clock was set back.
 */
export const flushSql = (shape: TableShape): string => {
  const { accountId, active, id, lastActiveAt, table } = columnsOf(shape)
  const stored = millisOf(lastActiveAt)
  const seen = shape.timeForm === "iso" ? isoOf("entry.seen") : "entry.seen"
  return `WITH entry(id, account, seen, state, now) AS MATERIALIZED (
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ? FROM json_each(?)
)
UPDATE ${target(shape)} SET
  ${quote(shape.lastActiveAt)} = CASE WHEN entry.seen > ${stored} THEN ${seen} ELSE ${lastActiveAt} END,
  ${quote(shape.active)} = CASE entry.state
    WHEN ${stateCodes.alive} THEN CASE WHEN entry.seen > ${stored} OR ${stored} > entry.now THEN 1 ELSE ${active} END
    WHEN ${stateCodes.ended} THEN 0
    ELSE CASE WHEN ${stored} <= entry.seen OR ${stored} > entry.now THEN 0 ELSE ${active} END
  END
FROM entry
WHERE ${id} = entry.id AND ${accountId} = entry.account AND likelihood(entry.seen >= 0, 0.000001)
RETURNING ${table}.${quote(shape.id)} AS id, ${table}.${quote(shape.active)} AS active`
}

export const flushJson = (entries: ReadonlyArray<FlushEntry>): string =>
  JSON.stringify(
    entries.map((entry) => [entry.id, entry.accountId, entry.seenAtMillis, stateCodes[entry.state]] as const)
  )

/** Parameters: the keys as JSON, and the first and the last believable time in epoch milliseconds. */
export const offlineSql = (shape: TableShape): string => {
  const { accountId, active, id, lastActiveAt, table } = columnsOf(shape)
  return `WITH entry(id, account) AS MATERIALIZED (SELECT value ->> 0, value ->> 1 FROM json_each(?))
UPDATE ${target(shape)} SET ${quote(shape.active)} = 0
FROM entry
WHERE ${id} = entry.id AND ${accountId} = entry.account AND likelihood(entry.id IS NOT NULL, 0.000001)
  AND +${active} = 1 AND ${millisOf(`+${lastActiveAt}`)} NOT BETWEEN ? AND ?
RETURNING ${table}.${quote(shape.id)} AS id, ${millisOf(`${table}.${quote(shape.lastActiveAt)}`)} AS millis`
}

export const keysJson = (keys: ReadonlyArray<PresenceKey>): string =>
  JSON.stringify(keys.map((key) => [key.id, key.accountId] as const))

/** A range of the index (`active`, `lastActiveAt`) that holds all stale rows of one form on one side. */
export interface StaleRange {
  readonly form: "number" | "text"
  /** Before the first believable time, or after the last one. */
  readonly side: "before" | "after"
  /** Parameters: that time, time and id of the cursor, that time again, the limit. */
  readonly sql: string
}

const staleSql = (names: TableNames, isStale: string, below: string, from: string): string => {
  const { accountId, active, id, lastActiveAt, table } = columnsOf(names)
  const millis = millisOf(lastActiveAt)
  return `SELECT ${id} AS id, ${accountId} AS accountId, ${lastActiveAt} AS stored, ${millis} AS millis
FROM ${table}
WHERE ${active} = 1 AND ${lastActiveAt} < ${below} AND (${lastActiveAt}, ${id}) > (${from}, ?)
  AND ${millis} ${isStale} ?
ORDER BY ${lastActiveAt}, ${id} LIMIT ?`
}

const secondOf = (format: string): string => `strftime('${format}', ? / 1000, 'unixepoch')`

/**
 * The ranges in the order of the index, but that two of texts may overlap: SQLite sorts text after every number, and
 * bytes after every text. The text of a second bounds a range of texts, wide enough for the form with a blank, which
 * sorts before a `T`; the rest is left to the comparison in milliseconds.
 */
export const staleRanges = (names: TableNames): ReadonlyArray<StaleRange> => [
  { form: "number", side: "before", sql: staleSql(names, "<", "?", "?") },
  { form: "number", side: "after", sql: staleSql(names, ">", "''", "max(?, ?)") },
  { form: "text", side: "before", sql: staleSql(names, "<", secondOf("%Y-%m-%dT%H:%M:%S~"), "?") },
  { form: "text", side: "after", sql: staleSql(names, ">", "x''", `max(${secondOf("%Y-%m-%d %H:%M:%S")}, ?)`) }
]

/** Which forms a sample of the table holds, from both ends of the primary key. */
export const sampleSql = (names: TableNames): string => {
  const { id, lastActiveAt, table } = columnsOf(names)
  const end = (order: string) =>
    `SELECT * FROM (SELECT ${lastActiveAt} AS stored FROM ${table} ORDER BY ${id} ${order} LIMIT 100)`
  return `SELECT
  coalesce(sum(typeof(stored) IN ('integer', 'real')), 0) AS numbers,
  coalesce(sum(typeof(stored) = 'text' AND stored LIKE '____-__-__T%'), 0) AS texts
FROM (${end("ASC")} UNION ALL ${end("DESC")})`
}

/** The index behind the primary key. Parameter: the table. */
export const primaryIndexSql = "SELECT name FROM pragma_index_list(?) WHERE origin = 'pk'"
