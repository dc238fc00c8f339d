/**
 * From a batch to one statement per table: constant text, one JSON parameter.
 *
 * The CASE decides per row. A branch per row would cost quadratic time, to
 * compile and to run; a join with the values does not.
 */
import type { FlushEntry, FlushState } from "../../presence/FlushBatch.ts"
import type { PresenceKey } from "../../presence/PresenceKey.ts"
import { quote, type TableNames } from "./tableNames.ts"

/** How a table stores times: epoch milliseconds, or `YYYY-MM-DDTHH:MM:SS.sss+00:00`. */
export type TimeForm = "integer" | "iso"

/** How the values of a column compare. */
export interface ColumnForm {
  /** Texts as they are. Otherwise, whole numbers above all, a value is compared by the text that it is written as. */
  readonly isText: boolean
  /** The collation of the index that finds the row. `undefined`: the index does not have the column. */
  readonly collation: string | undefined
}

export interface TableShape extends TableNames {
  readonly timeForm: TimeForm
  /** The index that finds a row by its key. `undefined`: the id is the key of the table itself. */
  readonly keyIndex: string | undefined
  /** The index that finds the rows that were not seen for long. `undefined`: there is none. */
  readonly sweepIndex: string | undefined
  readonly idForm: ColumnForm
  readonly accountForm: ColumnForm
}

/** Milliseconds of a stored time, whatever its form: one file may hold all three. Unreadable counts as never. */
const millisOf = (column: string): string =>
  `coalesce(CASE typeof(${column}) WHEN 'text' ` +
  `THEN CAST(round(unixepoch(${column}, 'subsec') * 1000) AS INTEGER) WHEN 'blob' THEN 0 ELSE ${column} END, 0)`

const isoOf = (millis: string): string =>
  `strftime('%Y-%m-%dT%H:%M:%S', ${millis} / 1000, 'unixepoch') || printf('.%03d+00:00', ${millis} % 1000)`

const columnsOf = (shape: TableNames) => {
  const table = quote(shape.table)
  return {
    table,
    id: `${table}.${quote(shape.id)}`,
    accountId: shape.accountId === undefined ? undefined : `${table}.${quote(shape.accountId)}`,
    active: `${table}.${quote(shape.active)}`,
    lastActiveAt: `${table}.${quote(shape.lastActiveAt)}`
  }
}

/** A value as the text that a key names it by. */
const textOf = (column: string, { isText }: ColumnForm): string => (isText ? column : `CAST(${column} AS TEXT)`)

/**
 * Equal byte for byte: a row that differs from a key by its case, or by how a number is written, is another row. Where
 * the index sorts by another rule, that is asked for too, for the sake of the index.
 */
const equals = (column: string, value: string, form: ColumnForm): string => {
  const exact = `${textOf(column, form)} COLLATE BINARY = ${value}`
  if (!form.isText) return `${column} = ${value} AND ${exact}`
  return form.collation === undefined || /^binary$/i.test(form.collation)
    ? exact
    : `${column} COLLATE ${quote(form.collation)} = ${value} AND ${exact}`
}

/** The row that an entry names. */
const isNamedBy = (shape: TableShape, entry: string): string => {
  const { accountId, id } = columnsOf(shape)
  const sameId = equals(id, `${entry}.id`, shape.idForm)
  return accountId === undefined ? sameId : `${sameId} AND ${equals(accountId, `${entry}.account`, shape.accountForm)}`
}

/** What a statement returns of the key of a row: as little as tells the rows of a chunk apart. */
const returnedKey = (shape: TableShape): string => {
  const { accountId, id } = columnsOf(shape)
  const account =
    accountId === undefined || !shape.isKeyedByAccount ? "" : `${textOf(accountId, shape.accountForm)} AS account, `
  return `${account}${textOf(id, shape.idForm)} AS id`
}

/**
 * Statistics that were gathered while the table was tiny make SQLite scan the
 * table for every entry: 1.3 s instead of 4 ms for 1 000 entries once it has
 * grown to 20 000 rows. Three things together keep the plan right whatever the
 * statistics are: the entries are materialized, they are declared to be few, and
 * the table can be accessed by its key only.
 */
const target = (shape: TableShape): string =>
  `${quote(shape.table)} ${shape.keyIndex === undefined ? "NOT INDEXED" : `INDEXED BY ${quote(shape.keyIndex)}`}`

/** The name of the entries in a statement, which must not be that of the table. */
const entriesName = ({ table }: TableNames): string => (table.toLowerCase() === "entry" ? "flushed" : "entry")

/** States in the JSON of a statement. */
export const stateCodes = { alive: 0, ended: 1, offline: 2 } as const satisfies { readonly [S in FlushState]: number }

/**
 * Parameters: the latest time that can have been written before this statement runs, in epoch milliseconds, and the
 * entries as JSON. What is stored with a later time was stored before the clock was set back, and is replaced. So is 0,
 * which stands for never: on a test clock that begins there, a first sign of life is no newer.
 */
export const flushSql = (shape: TableShape): string => {
  const { active, lastActiveAt, table } = columnsOf(shape)
  const entry = entriesName(shape)
  const stored = millisOf(lastActiveAt)
  const seen = shape.timeForm === "iso" ? isoOf(`${entry}.seen`) : `${entry}.seen`
  const isNewer = `${entry}.seen > ${stored} OR ${stored} NOT BETWEEN 1 AND ${entry}.now`
  return `WITH ${entry}(id, account, seen, state, now) AS MATERIALIZED (
  SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, ? FROM json_each(?)
)
UPDATE ${target(shape)} SET
  ${quote(shape.lastActiveAt)} = CASE WHEN ${isNewer} THEN ${seen} ELSE ${lastActiveAt} END,
  ${quote(shape.active)} = CASE ${entry}.state
    WHEN ${stateCodes.alive} THEN CASE WHEN ${isNewer} THEN 1 ELSE ${active} END
    WHEN ${stateCodes.ended} THEN 0
    ELSE CASE WHEN ${stored} <= ${entry}.seen OR ${stored} > ${entry}.now THEN 0 ELSE ${active} END
  END
FROM ${entry}
WHERE ${isNamedBy(shape, entry)} AND likelihood(${entry}.seen >= 0, 0.000001)
RETURNING ${returnedKey(shape)}, ${table}.${quote(shape.active)} AS active,
  ${millisOf(`${table}.${quote(shape.lastActiveAt)}`)} AS millis`
}

export const flushJson = (entries: ReadonlyArray<FlushEntry>): string =>
  JSON.stringify(
    entries.map(
      ({ accountId = null, id, seenAtMillis, state }) => [id, accountId, seenAtMillis, stateCodes[state]] as const
    )
  )

/** Parameters: the keys as JSON, and the first and the last believable time in epoch milliseconds. */
export const offlineSql = (shape: TableShape): string => {
  const { active, lastActiveAt, table } = columnsOf(shape)
  const entry = entriesName(shape)
  return `WITH ${entry}(id, account) AS MATERIALIZED (SELECT value ->> 0, value ->> 1 FROM json_each(?))
UPDATE ${target(shape)} SET ${quote(shape.active)} = 0
FROM ${entry}
WHERE ${isNamedBy(shape, entry)} AND likelihood(${entry}.id IS NOT NULL, 0.000001)
  AND +${active} = 1 AND ${millisOf(`+${lastActiveAt}`)} NOT BETWEEN ? AND ?
RETURNING ${returnedKey(shape)}, ${millisOf(`${table}.${quote(shape.lastActiveAt)}`)} AS millis`
}

export const keysJson = (keys: ReadonlyArray<PresenceKey>): string =>
  JSON.stringify(keys.map((key) => [key.id, key.accountId ?? null] as const))

/** Where a page of stale rows begins, within one range. */
export interface RangeStart {
  readonly stored: number | string
  readonly id: string
  /** Only where the account is a part of the key. */
  readonly account: string
}

/** A range of the index (`active`, `lastActiveAt`) that holds all stale rows of one form on one side. */
export interface StaleRange {
  readonly sql: string
  readonly params: (
    believable: { readonly firstMillis: number; readonly lastMillis: number },
    after: RangeStart | undefined,
    limit: number
  ) => ReadonlyArray<string | number>
}

/**
 * The index is named, because SQLite scans and sorts the whole table for every sweep when its statistics were gathered
 * while the table was tiny.
 */
const selectStale = (shape: TableShape): string => {
  const { accountId, active, id, lastActiveAt, table } = columnsOf(shape)
  const indexed = shape.sweepIndex === undefined ? "" : ` INDEXED BY ${quote(shape.sweepIndex)}`
  const account = accountId === undefined ? "" : `${textOf(accountId, shape.accountForm)} AS accountId, `
  return `SELECT ${textOf(id, shape.idForm)} AS id, ${account}${lastActiveAt} AS stored,
  ${millisOf(lastActiveAt)} AS millis
FROM ${table}${indexed}
WHERE ${active} = 1`
}

/** The columns that order rows of the same time, and where a page goes on among them. */
const keyOrder = (shape: TableShape) => {
  const { accountId, id } = columnsOf(shape)
  return accountId !== undefined && shape.isKeyedByAccount
    ? { columns: [id, accountId], valuesOf: (after: RangeStart | undefined) => [after?.id ?? "", after?.account ?? ""] }
    : { columns: [id], valuesOf: (after: RangeStart | undefined) => [after?.id ?? ""] }
}

const timeRange = (
  shape: TableShape,
  bounds: { readonly below: string; readonly from: string; readonly isStale: string },
  side: "before" | "after",
  beginning: number | string
): StaleRange => {
  const { lastActiveAt } = columnsOf(shape)
  const { columns, valuesOf } = keyOrder(shape)
  const key = columns.join(", ")
  return {
    sql: `${selectStale(shape)} AND ${lastActiveAt} < ${bounds.below}
  AND (${lastActiveAt}, ${key}) > (${bounds.from}, ${columns.map(() => "?").join(", ")})
  AND ${bounds.isStale} ORDER BY ${lastActiveAt}, ${key} LIMIT ?`,
    params: ({ firstMillis, lastMillis }, after, limit) => {
      const end = side === "before" ? firstMillis : lastMillis
      return [end, after?.stored ?? beginning, ...valuesOf(after), end, limit]
    }
  }
}

/** Rows without a time, or with bytes for one, were never seen. */
const timelessRange = (shape: TableShape, condition: string): StaleRange => {
  const { columns, valuesOf } = keyOrder(shape)
  const from = `(${columns.join(", ")}) > (${columns.map(() => "?").join(", ")})`
  const order = columns.map((column) => `+${column}`).join(", ")
  return {
    sql: `${selectStale(shape)} AND ${condition} AND (? = 0 OR ${from}) ORDER BY ${order} LIMIT ?`,
    params: (_, after, limit) => [after === undefined ? 0 : 1, ...valuesOf(after), limit]
  }
}

const secondOf = (format: string): string => `strftime('${format}', ? / 1000, 'unixepoch')`

/**
 * The ranges in the order of the index, but that two of texts may overlap: SQLite sorts text after every number, and
 * bytes after every text. The text of a second bounds a range of texts, wide enough for the form with a blank, which
 * sorts before a `T`; the rest is left to the comparison in milliseconds. A text that is no time counts as never.
 */
export const staleRanges = (shape: TableShape): ReadonlyArray<StaleRange> => {
  const { lastActiveAt } = columnsOf(shape)
  const millis = millisOf(lastActiveAt)
  const first = Number.MIN_SAFE_INTEGER
  const isBefore = `${millis} < ?`
  return [
    timeRange(shape, { below: "?", from: "?", isStale: isBefore }, "before", first),
    timeRange(shape, { below: "''", from: "max(?, ?)", isStale: `${millis} > ?` }, "after", first),
    timeRange(shape, { below: secondOf("%Y-%m-%dT%H:%M:%S~"), from: "?", isStale: isBefore }, "before", ""),
    timeRange(
      shape,
      { below: "x''", from: `max(${secondOf("%Y-%m-%d %H:%M:%S")}, ?)`, isStale: `(${millis} > ? OR ${millis} <= 0)` },
      "after",
      ""
    ),
    timelessRange(shape, `${lastActiveAt} >= x''`),
    timelessRange(shape, `${lastActiveAt} IS NULL`)
  ]
}

/** Which forms a sample of the table holds, from both ends of its key. Seconds: of 1973 to 5138. */
export const sampleSql = (names: TableNames): string => {
  const { id, lastActiveAt, table } = columnsOf(names)
  const end = (order: string) =>
    `SELECT * FROM (SELECT ${lastActiveAt} AS stored FROM ${table} ORDER BY ${id} ${order} LIMIT 100)`
  return `SELECT
  coalesce(sum(typeof(stored) IN ('integer', 'real')), 0) AS numbers,
  coalesce(sum(typeof(stored) IN ('integer', 'real') AND stored > 0), 0) AS times,
  coalesce(sum(typeof(stored) IN ('integer', 'real') AND stored >= 100000000 AND stored < 100000000000), 0) AS seconds,
  coalesce(sum(typeof(stored) = 'text' AND stored LIKE '____-__-__T%'), 0) AS texts
FROM (${end("ASC")} UNION ALL ${end("DESC")})`
}
