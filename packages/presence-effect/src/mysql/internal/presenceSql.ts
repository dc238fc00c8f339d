/**
 * The statements of presence for one table of MySQL or MariaDB: constant texts, one JSON parameter.
 *
 * Neither has an update that skips locked rows. So a derived table locks those that are free, and the update joins it;
 * its limit keeps the server from merging it into the update. What became of the rows is a second statement.
 */
import { stateCodes as state } from "../../sqlite/internal/caseUpdate.ts"
import type { TableNames } from "../../sqlite/internal/tableNames.ts"

/** How the values of a key column are compared: whole numbers, or texts of a character set. */
export type KeyType =
  | { readonly _tag: "Integer" }
  | { readonly _tag: "Text"; readonly charset: string; readonly collation: string; readonly length: number }

export type TimeType = "millis" | "datetime"

export interface TableShape extends TableNames {
  readonly idType: KeyType
  readonly accountType: KeyType
  readonly timeType: TimeType
  /** The index that finds a row by its key. */
  readonly keyIndex: string
}

export const quote = (name: string): string => `\`${name.replaceAll("`", "``")}\``

/** Longer keys have no row: no column of a key can hold them. */
export const keyLengthMax = 1_024

const epoch = "TIMESTAMP('1970-01-01 00:00:00')"

const millisOf: { readonly [T in TimeType]: (column: string) => string } = {
  millis: (column) => `COALESCE(CAST(${column} AS SIGNED), 0)`,
  datetime: (column) => `COALESCE(TIMESTAMPDIFF(MICROSECOND, ${epoch}, ${column}) DIV 1000, 0)`
}

const timeOf: { readonly [T in TimeType]: (millis: string) => string } = {
  millis: (millis) => millis,
  datetime: (millis) => `TIMESTAMPADD(MICROSECOND, ${millis} * 1000, ${epoch})`
}

const columnsOf = (shape: TableShape) => {
  const lastActiveAt = `t.${quote(shape.lastActiveAt)}`
  return {
    table: `${quote(shape.table)} AS t`,
    // A small table would be scanned otherwise, and a scan that writes waits for every row that is held.
    rowsByKey: `${quote(shape.table)} AS t FORCE INDEX (${quote(shape.keyIndex)})`,
    id: `t.${quote(shape.id)}`,
    account: shape.accountId === undefined ? undefined : `t.${quote(shape.accountId)}`,
    active: `t.${quote(shape.active)}`,
    lastActiveAt,
    stored: millisOf[shape.timeType](lastActiveAt)
  }
}

const bytesOf = (text: string): string => `CAST(CONVERT(${text} USING utf8mb4) AS BINARY)`

/** The first half is for the index, whose collation may fold case and ignore blanks at the end; the second is exact. */
const equals = (column: string, value: string, type: KeyType): string =>
  type._tag === "Integer"
    ? `${column} = ${value}`
    : `${column} = CONVERT(${value} USING ${type.charset}) COLLATE ${type.collation} ` +
      `AND ${bytesOf(column)} = ${bytesOf(value)}`

const isNamedBy = (shape: TableShape): string => {
  const { account, id } = columnsOf(shape)
  const sameId = equals(id, "entry.id", shape.idType)
  return account === undefined ? sameId : `${sameId} AND ${equals(account, "entry.account", shape.accountType)}`
}

const keyColumn = ({ _tag }: KeyType): string =>
  _tag === "Integer" ? "BIGINT" : `VARCHAR(${keyLengthMax}) CHARACTER SET utf8mb4`

/** The entries of a JSON parameter as rows. */
const entriesOf = (shape: TableShape, json: string, more = ""): string =>
  `JSON_TABLE(${json}, '$[*]' COLUMNS (n INT PATH '$[0]', id ${keyColumn(shape.idType)} PATH '$[1]', ` +
  `account ${shape.accountId === undefined ? "VARCHAR(1)" : keyColumn(shape.accountType)} PATH '$[2]'${more})) AS entry`

const values = ", seen BIGINT PATH '$[3]', state INT PATH '$[4]'"

/** Keeps the server from merging a derived table into the statement around it. */
const unmerged = "LIMIT 18446744073709551615"

/**
 * Parameters of the first: the latest time that can have been written before it runs, and the entries as JSON. Of the
 * second: the entries.
 */
export const flushSql = (shape: TableShape) => {
  const { active, lastActiveAt, rowsByKey, stored } = columnsOf(shape)
  const isNewer = "entry.seen > entry.stored OR entry.stored > entry.latest"
  // By what was stored when the row was locked: which column is set first is not defined.
  return {
    update: `UPDATE (
  SELECT entry.*, CAST(? AS SIGNED) AS latest, ${stored} AS stored, ${active} AS was
  FROM ${entriesOf(shape, "?", values)} STRAIGHT_JOIN ${rowsByKey} ON ${isNamedBy(shape)}
  ${unmerged} FOR UPDATE SKIP LOCKED
) AS entry STRAIGHT_JOIN ${rowsByKey} ON ${isNamedBy(shape)} SET
  ${lastActiveAt} = CASE WHEN ${isNewer} THEN ${timeOf[shape.timeType]("entry.seen")} ELSE ${lastActiveAt} END,
  ${active} = CASE entry.state
    WHEN ${state.alive} THEN CASE WHEN ${isNewer} THEN 1 ELSE entry.was END
    WHEN ${state.ended} THEN 0
    ELSE CASE WHEN entry.stored <= entry.seen OR entry.stored > entry.latest THEN 0 ELSE entry.was END
  END`,
    select: `SELECT entry.n, CASE WHEN ${active} <> 0 THEN 1 ELSE 0 END AS active, ${stored} AS millis
FROM ${entriesOf(shape, "?")} STRAIGHT_JOIN ${rowsByKey} ON ${isNamedBy(shape)}`
  }
}

/**
 * Parameters of the first: the keys as JSON, and the first and the last believable time in epoch milliseconds. It keeps
 * what it has locked in a variable of the connection, by which the second changes it and the third returns it.
 */
export const offlineSql = (shape: TableShape) => {
  const { active, rowsByKey, stored } = columnsOf(shape)
  return {
    lock: `SELECT CONCAT('[', COALESCE(GROUP_CONCAT(JSON_ARRAY(held.n, held.id, held.account, held.millis)), ''), ']')
INTO @presence_effect_held FROM (
  SELECT entry.*, ${stored} AS millis FROM ${entriesOf(shape, "?")} STRAIGHT_JOIN ${rowsByKey} ON ${isNamedBy(shape)}
  WHERE ${active} <> 0 AND NOT ${stored} BETWEEN CAST(? AS SIGNED) AND CAST(? AS SIGNED)
  ${unmerged} FOR UPDATE SKIP LOCKED
) AS held`,
    update: `UPDATE ${entriesOf(shape, "@presence_effect_held")} STRAIGHT_JOIN ${rowsByKey} ON ${isNamedBy(shape)}
SET ${active} = 0`,
    select: "SELECT @presence_effect_held AS held"
  }
}

/** Parameters: the first and the last believable time, and where a page goes on its id and its account. */
export const staleSql = (shape: TableShape, isFirstPage: boolean, limit: number): string => {
  const { account, active, id, stored, table } = columnsOf(shape)
  const isPair = account !== undefined && shape.isKeyedByAccount
  const sorts = (value: string, type: KeyType) =>
    type._tag === "Integer" ? `CAST(${value} AS SIGNED)` : bytesOf(value)
  const keys = [sorts(id, shape.idType), ...(isPair ? [sorts(account, shape.accountType)] : [])]
  const starts = [sorts("?", shape.idType), ...(isPair ? [sorts("?", shape.accountType)] : [])]
  const goesOn = isFirstPage ? "" : `\n  AND (${keys.join(", ")}) > (${starts.join(", ")})`
  return `SELECT CAST(${id} AS CHAR) AS id, ${account === undefined ? "NULL" : `CAST(${account} AS CHAR)`} AS account,
  ${stored} AS millis
FROM ${table}
WHERE ${active} <> 0 AND NOT ${stored} BETWEEN CAST(? AS SIGNED) AND CAST(? AS SIGNED)${goesOn}
ORDER BY ${keys.join(", ")} LIMIT ${Math.max(1, Math.floor(limit))}`
}
