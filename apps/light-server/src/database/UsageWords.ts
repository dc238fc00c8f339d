/** The words of a dialect that only the sums of usage reports need. */
import type { SqlValue } from "presence-effect/writer/Write"

export interface UsageWords {
  /**
   * The newest reports of an account within a range of milliseconds, one more than `limit`: `millis` and `place`, the
   * id. `ofSession` is a condition that restricts it to a session, or empty.
   */
  readonly newest: (ofSession: string, limit: number) => string
  /** Its parameters. `own`: the session, if there is one, and the account. */
  readonly newestParams: (own: ReadonlyArray<string>, fromMillis: number, toMillis: number) => ReadonlyArray<SqlValue>
  /** The JSON text of a column in the form that `numbersIn` reads. */
  readonly parsed: (column: string) => string
  /** Whether a column holds JSON. */
  readonly isReadable: (column: string) => string
  /** After a table: the numbers in the member of a JSON object as `item`: `key` and `value`. Ends in a condition. */
  readonly numbersIn: (column: string, member: string) => string
  /** The sum of the values of `item` in a group, within what JSON can hold. */
  readonly total: string
  /** The amounts of a group by name as a JSON object, whole numbers without a point. */
  readonly amountsByName: (condition: string) => string
}

/** The largest number that JSON can hold: integers would overflow, infinity has no JSON form. */
const greatest = "1.7976931348623157e308"

/** Texts may have a zone, and then begin with the date of another day. */
const dayMillis = 86_400_000

const dateOf = (millis: number) => new Date(millis).toISOString().slice(0, 10)

const lastMillis = Date.UTC(9999, 11, 31)

/**
 * Reports of a file of any age, whose times are integers or texts: each form has its range of the index. Indexes are
 * named, because with statistics from when there were few reports SQLite would scan all of them.
 */
const sqliteNewest: UsageWords["newest"] = (ofSession, limit) => {
  const index = `presence_UsageReport_${ofSession === "" ? "accountId" : "sessionId"}_createdAt_idx`
  const ofForm = (millis: string, range: string) => `SELECT * FROM (
      SELECT ${millis} AS "millis", "id" AS "place" FROM "UsageReport" INDEXED BY "${index}"
      WHERE ${ofSession}"accountId" = ? AND "createdAt" ${range}
      ORDER BY "createdAt" DESC LIMIT ${limit} + 1
    ) WHERE "millis" BETWEEN ? AND ?`
  return `${ofForm(`CAST("createdAt" AS INTEGER)`, "BETWEEN ? AND ?")}
    UNION ALL ${ofForm(`unixepoch("createdAt") * 1000`, "BETWEEN ? AND ?")}
    ORDER BY "millis" DESC LIMIT ${limit} + 1`
}

const sqlitePlain = `CASE WHEN abs("amount") <= ${Number.MAX_SAFE_INTEGER} AND "amount" = CAST("amount" AS INTEGER)
  THEN CAST("amount" AS INTEGER) ELSE "amount" END`

export const sqlite: UsageWords = {
  newest: sqliteNewest,
  // The range of integers, and that of texts.
  newestParams: (own, from, to) => {
    const firstDay = dateOf(Math.max(0, from - dayMillis))
    const dayAfter = dateOf(Math.min(lastMillis, to + 2 * dayMillis))
    return [...own, from, to, from, to, ...own, firstDay, `${dayAfter}~`, from, to]
  },
  parsed: (column) => `"${column}"`,
  isReadable: (column) => `json_valid("${column}")`,
  numbersIn: (column, member) => `, json_each("${column}", '$.${member}') AS item
    WHERE typeof(item."key") = 'text' AND item."type" IN ('integer', 'real')`,
  total: `max(-${greatest}, min(${greatest}, coalesce(total(item."value"), 0.0)))`,
  amountsByName: (condition) => `json_group_object("name", ${sqlitePlain}) FILTER (WHERE ${condition})`
}

const postgresJson = (column: string) => `presence_json("${column}")`

export const postgres: UsageWords = {
  newest: (ofSession, limit) => `SELECT "createdAt" AS "millis", "id" AS "place" FROM "UsageReport"
    WHERE ${ofSession}"accountId" = ? AND "createdAt" BETWEEN ? AND ?
    ORDER BY "createdAt" DESC LIMIT ${limit} + 1`,
  newestParams: (own, from, to) => [...own, from, to],
  parsed: postgresJson,
  isReadable: (column) => `${postgresJson(column)} IS NOT NULL`,
  numbersIn: (column, member) => `CROSS JOIN LATERAL jsonb_each(
      CASE jsonb_typeof("${column}" -> '${member}') WHEN 'object' THEN "${column}" -> '${member}' END
    ) AS item WHERE jsonb_typeof(item."value") = 'number'`,
  total: `least(${greatest}, greatest(-${greatest}, sum((item."value" #>> '{}')::numeric)))`,
  amountsByName: (condition) =>
    `json_object_agg("name", trim_scale("amount") ORDER BY "name") FILTER (WHERE ${condition})::text`
}
