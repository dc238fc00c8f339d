/**
 * The statements of presence for one table of PostgreSQL: constant texts, one JSON parameter.
 *
 * Two replicas that update the same rows in two orders end in a deadlock, and a
 * plain update waits for whatever a control write holds. So the rows are locked
 * first, and those that another transaction holds are skipped.
 */
import { stateCodes as state } from "../../sqlite/internal/caseUpdate.ts"
import { quote, type TableNames } from "../../sqlite/internal/tableNames.ts"
import { nowMillis, table as replicas } from "./leaseSql.ts"

/** How the values of a key column are compared. */
export type KeyType = "text" | "integer" | "uuid"

export type TimeType = "millis" | "timestamp" | "timestamptz"

export interface TableShape extends TableNames {
  readonly idType: KeyType
  readonly accountType: KeyType
  readonly activeType: "boolean" | "integer"
  readonly timeType: TimeType
}

const casts: { readonly [T in KeyType]: string } = { text: "", integer: "::bigint", uuid: "::uuid" }

const millisOf: { readonly [T in TimeType]: (column: string) => string } = {
  millis: (column) => `coalesce(${column}::bigint, 0)`,
  timestamp: (column) => `coalesce((extract(epoch FROM ${column}) * 1000)::bigint, 0)`,
  timestamptz: (column) => `coalesce((extract(epoch FROM ${column}) * 1000)::bigint, 0)`
}

const timeOf: { readonly [T in TimeType]: (millis: string) => string } = {
  millis: (millis) => millis,
  timestamp: (millis) => `to_timestamp(${millis} / 1000.0) AT TIME ZONE 'UTC'`,
  timestamptz: (millis) => `to_timestamp(${millis} / 1000.0)`
}

const columnsOf = (shape: TableShape) => {
  const active = `t.${quote(shape.active)}`
  const lastActiveAt = `t.${quote(shape.lastActiveAt)}`
  return {
    table: `${quote(shape.table)} AS t`,
    id: `t.${quote(shape.id)}`,
    account: shape.accountId === undefined ? undefined : `t.${quote(shape.accountId)}`,
    active,
    isActive: shape.activeType === "boolean" ? `coalesce(${active}, false)` : `coalesce(${active}, 0) <> 0`,
    on: shape.activeType === "boolean" ? "true" : "1",
    off: shape.activeType === "boolean" ? "false" : "0",
    lastActiveAt,
    stored: millisOf[shape.timeType](lastActiveAt)
  }
}

/** Who serves a row, as conditions. `me` and `lease` are parameters: an epoch, and how long a lease holds. */
const ownerOf = (shape: TableShape, me: string, lease: string) => {
  if (shape.servedBy === undefined) return undefined
  const servedBy = `t.${quote(shape.servedBy)}`
  const holds = (epoch: string) =>
    `EXISTS (SELECT FROM ${replicas} AS r WHERE r.epoch = ${epoch} ` +
    `AND r."beatAt" >= ${nowMillis} - ${lease}::bigint)`
  return {
    servedBy,
    me: `${me}::text`,
    isLeaseHeld: holds(`${me}::text`),
    isElsewhere: `coalesce(${servedBy} <> ${me}::text, false)`,
    /** No replica with a lease serves it, except this one. */
    isFree: `(${servedBy} IS NULL OR ${servedBy} = ${me}::text OR NOT ${holds(servedBy)})`
  }
}

/** Equal byte for byte also where the collation of the column thinks otherwise. The first half is for the index. */
const equals = (column: string, value: string, type: KeyType): string =>
  type === "text" ? `${column} = ${value} AND ${column} COLLATE "C" = ${value}` : `${column} = ${value}`

const isNamedBy = (shape: TableShape): string => {
  const { account, id } = columnsOf(shape)
  const sameId = equals(id, "entry.id", shape.idType)
  return account === undefined ? sameId : `${sameId} AND ${equals(account, "entry.account", shape.accountType)}`
}

const keyColumns = (shape: TableShape): string =>
  `(value ->> 0)::int AS n, (value ->> 1)${casts[shape.idType]} AS id, ` +
  `(value ->> 2)${shape.accountId === undefined ? "" : casts[shape.accountType]} AS account`

/** The entries, and of their rows those that nobody else holds, locked. */
const lockedRows = (
  shape: TableShape,
  entries: string,
  condition = "",
  was = ""
): string => `WITH entry AS MATERIALIZED (
  ${entries}
), held AS MATERIALIZED (
  SELECT entry.*${was} FROM entry JOIN ${columnsOf(shape).table} ON ${isNamedBy(shape)}${condition}
  FOR NO KEY UPDATE OF t SKIP LOCKED
)`

/** How a flush treats a row that carries the mark of a replica. */
const flushMarks = (shape: TableShape, isNewer: string, stored: string) => {
  const owner = ownerOf(shape, "$3", "$4")
  if (owner === undefined) return { held: "", was: "", set: "", returned: "", changed: "", unchanged: "", none: "" }
  const isClaimed = `${isNewer} OR entry.seen = ${stored} AND ${owner.isFree}`
  const isStamped = `entry.state = ${state.ended} OR entry.state = ${state.alive} AND (${isClaimed})`
  return {
    was: `, CASE WHEN ${columnsOf(shape).isActive} THEN 1 ELSE 0 END AS was`,
    returned: ", entry.was",
    none: ", 0",
    // An end is stored whatever became of the lease.
    held: `\n  WHERE entry.state = ${state.ended} OR ${owner.isLeaseHeld}`,
    set: `,\n    ${quote(shape.servedBy ?? "")} = CASE WHEN ${isStamped} THEN ${owner.me} ELSE ${owner.servedBy} END`,
    changed: ` AND NOT (entry.state = ${state.offline} AND ${owner.isElsewhere})`,
    unchanged: "\nUNION ALL\nSELECT n, 0, 0, 0, 1, 0 FROM held WHERE n NOT IN (SELECT n FROM changed)"
  }
}

/**
 * Parameters: the latest time that can have been written before this statement runs, in epoch milliseconds, and the
 * entries as JSON; with marks of replicas also the own epoch, and how long a lease holds in milliseconds. A row of the
 * result for each entry that has a row in the table.
 */
export const flushSql = (shape: TableShape): string => {
  const { active, isActive, lastActiveAt, off, on, stored, table } = columnsOf(shape)
  const seen = timeOf[shape.timeType]("entry.seen")
  const isNewer = `entry.seen > ${stored} OR ${stored} > entry.now`
  const marks = flushMarks(shape, isNewer, stored)
  return `${lockedRows(
    shape,
    `SELECT ${keyColumns(shape)}, (value ->> 3)::bigint AS seen, (value ->> 4)::int AS state, $1::bigint AS now
  FROM json_array_elements($2::json)`,
    marks.held,
    marks.was
  )}, changed AS (
  UPDATE ${table} SET
    ${quote(shape.lastActiveAt)} = CASE WHEN ${isNewer} THEN ${seen} ELSE ${lastActiveAt} END${marks.set},
    ${quote(shape.active)} = CASE entry.state
      WHEN ${state.alive} THEN CASE WHEN ${isNewer} THEN ${on} ELSE ${active} END
      WHEN ${state.ended} THEN ${off}
      ELSE CASE WHEN ${stored} <= entry.seen OR ${stored} > entry.now THEN ${off} ELSE ${active} END
    END
  FROM held AS entry WHERE ${isNamedBy(shape)}${marks.changed}
  RETURNING entry.n, CASE WHEN ${isActive} THEN 1 ELSE 0 END AS active, ${stored}::float8 AS millis${marks.returned}
), skipped AS MATERIALIZED (
  SELECT * FROM entry WHERE n NOT IN (SELECT n FROM held)
)
SELECT n, active, millis, 0 AS deferred, 0 AS elsewhere${marks.returned.replace("entry.", "")} FROM changed
UNION ALL
SELECT n, 0, 0, 1, 0${marks.none} FROM skipped AS entry
  WHERE EXISTS (SELECT FROM ${table} WHERE ${isNamedBy(shape)})${marks.unchanged}`
}

/**
 * Parameters: the keys as JSON, and the first and the last believable time in epoch milliseconds; with marks of
 * replicas also the own epoch and how long a lease holds.
 */
export const offlineSql = (shape: TableShape): string => {
  const { isActive, off, stored, table } = columnsOf(shape)
  const owner = ownerOf(shape, "$4", "$5")
  const isOurs = owner === undefined ? "" : ` AND ${owner.isLeaseHeld} AND ${owner.isFree}`
  const isStale = `${isActive} AND ${stored} NOT BETWEEN $2::bigint AND $3::bigint${isOurs}`
  return `${lockedRows(shape, `SELECT ${keyColumns(shape)} FROM json_array_elements($1::json)`, ` WHERE ${isStale}`)}
UPDATE ${table} SET ${quote(shape.active)} = ${off}
FROM held AS entry WHERE ${isNamedBy(shape)} AND ${isStale}
RETURNING entry.n, ${stored}::float8 AS millis`
}

/**
 * Parameters: the own epoch, how long a lease holds, the grace after it, and how many rows. What is not locked by
 * another replica at this moment, of replicas that are gone, if this one has held its lease for the grace.
 */
export const takeOverSql = (shape: TableShape): string | undefined => {
  const { account, id, isActive, off, stored, table } = columnsOf(shape)
  if (shape.servedBy === undefined) return undefined
  const isPair = account !== undefined && shape.isKeyedByAccount
  return `WITH winner AS MATERIALIZED (
  SELECT FROM ${replicas} WHERE epoch = $1::text AND "beatAt" >= ${nowMillis} - $2::bigint
    AND "startedAt" <= ${nowMillis} - $3::bigint
    AND pg_try_advisory_xact_lock(hashtextextended('presence-effect takeover ' || current_schema(), 0))
), gone AS MATERIALIZED (
  SELECT epoch FROM ${replicas}, winner WHERE "beatAt" < ${nowMillis} - $2::bigint - $3::bigint
), held AS MATERIALIZED (
  SELECT ${id} AS id${isPair ? `, ${account} AS account` : ""}
  FROM gone JOIN ${table} ON t.${quote(shape.servedBy)} = gone.epoch WHERE ${isActive}
  LIMIT $4::bigint FOR NO KEY UPDATE OF t SKIP LOCKED
)
UPDATE ${table} SET ${quote(shape.active)} = ${off}
FROM held WHERE ${id} = held.id${isPair ? ` AND ${account} = held.account` : ""} AND ${isActive}
RETURNING ${id}::text AS id, ${account === undefined ? "NULL" : `${account}::text`} AS account,
  ${stored}::float8 AS millis`
}

/**
 * Parameters: the first and the last believable time, the limit, with marks of replicas the own epoch and how long a
 * lease holds, and where a page goes on its id and its account.
 */
export const staleSql = (shape: TableShape, isFirstPage: boolean): string => {
  const { account, id, isActive, stored, table } = columnsOf(shape)
  const orders = (column: string, type: KeyType) => (type === "text" ? `${column} COLLATE "C"` : column)
  const keys = [orders(id, shape.idType)]
  const owner = ownerOf(shape, "$4", "$5")
  const next = owner === undefined ? 4 : 6
  const starts = [`$${next}${casts[shape.idType]}`]
  if (account !== undefined && shape.isKeyedByAccount) {
    keys.push(orders(account, shape.accountType))
    starts.push(`$${next + 1}${casts[shape.accountType]}`)
  }
  const goesOn = isFirstPage ? "" : `\n  AND (${keys.join(", ")}) > (${starts.join(", ")})`
  return `SELECT ${id}::text AS id, ${account === undefined ? "NULL" : `${account}::text`} AS account,
  ${stored}::float8 AS millis
FROM ${table}
WHERE ${isActive} AND (${stored} < $1::bigint OR ${stored} > $2::bigint)${
    owner === undefined ? "" : ` AND ${owner.isFree}`
  }${goesOn}
ORDER BY ${keys.join(", ")} LIMIT $3::bigint`
}
