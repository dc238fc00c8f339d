/** Usage reports in the database. */
import { Context, Effect, Layer, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { cuid } from "../database/Ids.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Field } from "../database/ReadRequest.ts"
import { StoredTime } from "../database/StoredTime.ts"
import * as TimeForm from "../database/TimeForm.ts"
import type { UsageQuery } from "./UsageQuery.ts"
import type { Receipt, UsageReport } from "./UsageReport.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export class UsageStore extends Context.Tag("light-server/UsageStore")<
  UsageStore,
  {
    /** Stores a report, or replaces the one with its key. Conflicts when the session does not belong to the account. */
    readonly replace: (accountId: string, report: UsageReport) => Effect.Effect<Receipt, WriteFailure>
    /** The sums of the newest 5000 reports that match the query, in one statement, the newest period first. */
    readonly sum: (accountId: string, query: UsageQuery) => Effect.Effect<BoundedList.BoundedList, ReadFailure>
  }
>() {}

const Stored = Schema.Struct({ id: Schema.String, createdAt: StoredTime, updatedAt: StoredTime })

const columns = `"id", "key", "accountId", "sessionId", "data", "createdAt", "updatedAt"`

const replaceData = `DO UPDATE SET "data" = excluded."data", "updatedAt" = excluded."updatedAt"
  RETURNING "id", "createdAt", "updatedAt"`

const withSession = `INSERT INTO "UsageReport" (${columns})
  SELECT ?, ?, "accountId", "id", ?, ?, ? FROM "Session" WHERE "accountId" = ? AND "id" = ?
  ON CONFLICT ("accountId", "sessionId", "key") ${replaceData}`

/** To the index above, NULLs differ from each other; the partial one makes them one row. */
const withoutSession = `INSERT INTO "UsageReport" (${columns}) VALUES (?, ?, ?, NULL, ?, ?, ?)
  ON CONFLICT ("accountId", "key") WHERE "sessionId" IS NULL ${replaceData}`

/** Reports that one query sums up: the newest ones. */
export const reportLimit = 5000

/** Names of one half of a period, in their order. */
export const nameLimit = 1000

const periodSeconds = { hour: 3600, day: 86_400 } as const

/**
 * Reports of a file of any age, whose times are integers or texts: each form has its range of the index. Indexes are
 * named, because with statistics from when there were few reports SQLite would scan all of them.
 */
const newestOf = (ofSession: string) => {
  const index = `presence_UsageReport_${ofSession === "" ? "accountId" : "sessionId"}_createdAt_idx`
  const ofForm = (millis: string, range: string) => `SELECT * FROM (
      SELECT ${millis} AS "millis", "id" AS "place" FROM "UsageReport" INDEXED BY "${index}"
      WHERE ${ofSession}"accountId" = ? AND "createdAt" ${range}
      ORDER BY "createdAt" DESC LIMIT ${reportLimit} + 1
    ) WHERE "millis" BETWEEN ? AND ?`
  return `${ofForm(`CAST("createdAt" AS INTEGER)`, "BETWEEN ? AND ?")}
    UNION ALL ${ofForm(`unixepoch("createdAt") * 1000`, "BETWEEN ? AND ?")}
    ORDER BY "millis" DESC LIMIT ${reportLimit} + 1`
}

/**
 * No sum exceeds what JSON can hold, whatever the file contains: integers would overflow, infinity has no JSON form.
 */
const greatest = "1.7976931348623157e308"
const clamped = (sum: string) => `max(-${greatest}, min(${greatest}, coalesce(${sum}, 0.0)))`

/** Whole numbers without a point, as they were reported. */
const plain = `CASE WHEN abs("amount") <= ${Number.MAX_SAFE_INTEGER} AND "amount" = CAST("amount" AS INTEGER)
  THEN CAST("amount" AS INTEGER) ELSE "amount" END`

const sumOf = (part: "tokens" | "cost") => `
  SELECT "timestamp", '${part}' AS "part", item."key" AS "name", ${clamped(`total(item."value")`)} AS "amount"
  FROM report, json_each("data", '$.${part}') AS item
  WHERE typeof(item."key") = 'text' AND item."type" IN ('integer', 'real') GROUP BY item."key", "timestamp"`

const namesOf = (part: "tokens" | "cost") =>
  `coalesce(json_group_object("name", ${plain}) FILTER (WHERE "part" = '${part}'), '{}')`

/**
 * The texts are read for the newest reports only. Damaged rows of other programs are left out; a value in a report that
 * is not a number is ignored.
 */
const sumBy = (groupBy: UsageQuery["groupBy"], ofSession: string) => `
WITH recent AS MATERIALIZED (${newestOf(ofSession)}), report AS MATERIALIZED (
  SELECT "millis" / ${periodSeconds[groupBy] * 1000} * ${periodSeconds[groupBy]} AS "timestamp", "data"
  FROM (SELECT * FROM recent ORDER BY "millis" DESC LIMIT ${reportLimit})
  CROSS JOIN "UsageReport" INDEXED BY "sqlite_autoindex_UsageReport_1" ON "id" = "place" WHERE json_valid("data")
), summed AS (${sumOf("tokens")} UNION ALL ${sumOf("cost")}), numbered AS (
  SELECT *, row_number() OVER (PARTITION BY "timestamp", "part" ORDER BY "name") AS "number" FROM summed
), named AS MATERIALIZED (
  SELECT "timestamp" AS "namedAt", ${namesOf("tokens")} AS "tokens", ${namesOf("cost")} AS "cost"
  FROM numbered WHERE "number" <= ${nameLimit} GROUP BY "timestamp"
)
SELECT CAST("timestamp" AS INTEGER) AS "timestamp", count(*) AS "reportCount", coalesce("tokens", '{}') AS "tokens",
  coalesce("cost", '{}') AS "cost", (SELECT count(*) FROM recent) AS "found"
FROM report LEFT JOIN named ON "namedAt" = "timestamp" GROUP BY "timestamp" ORDER BY "timestamp" DESC`

/** The statements, for tests that look at their plans. */
export const sums = {
  all: { hour: sumBy("hour", ""), day: sumBy("day", "") },
  ofSession: { hour: sumBy("hour", `"sessionId" = ? AND `), day: sumBy("day", `"sessionId" = ? AND `) }
}

const fields: ReadonlyArray<Field> = [
  { column: "timestamp", kind: "int", as: "timestamp" },
  { column: "tokens", kind: "json", as: "tokens" },
  { column: "cost", kind: "json", as: "cost" },
  { column: "reportCount", kind: "int", as: "reportCount" }
]

/** Texts may have a zone, and then begin with the date of another day. */
const dayMillis = 86_400_000

const dateOf = (millis: number) => new Date(millis).toISOString().slice(0, 10)

const lastMillis = Date.UTC(9999, 11, 31)

/** Parameters of the range of integers, and of that of texts. */
const paramsOf = (accountId: string, { endTime, sessionId, startTime }: UsageQuery) => {
  const from = startTime === undefined ? 0 : Math.ceil(startTime * 1000)
  const to = endTime === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(endTime * 1000)
  const own = sessionId === undefined ? [accountId] : [sessionId, accountId]
  const [firstDay, dayAfter] = [dateOf(Math.max(0, from - dayMillis)), dateOf(Math.min(lastMillis, to + 2 * dayMillis))]
  return [...own, from, to, from, to, ...own, firstDay, `${dayAfter}~`, from, to]
}

/** The write of a report. */
export const replaceWrite = (
  accountId: string,
  id: string,
  report: UsageReport,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<Receipt> => {
  const { key, sessionId, tokens, cost } = report
  const data = JSON.stringify({ tokens, cost })
  const now = encode(nowMillis)
  const statement =
    sessionId === undefined
      ? Write.statement(withoutSession, [id, key, accountId, data, now, now], { changes: 1 })
      : Write.statement(withSession, [id, key, data, now, now, accountId, sessionId], { changes: 1 })
  return statement.pipe(
    Write.decodeRows(Stored),
    Write.map(([row]) => ({
      reportId: row?.id ?? id,
      createdAt: row?.createdAt ?? nowMillis,
      updatedAt: row?.updatedAt ?? nowMillis
    }))
  )
}

export const layer: Layer.Layer<UsageStore, never, DatabaseReader | SqliteWriter> = Layer.effect(
  UsageStore,
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* AccountWriter.make
    const form = yield* TimeForm.TimeForm
    return UsageStore.of({
      replace: (accountId, report) =>
        Effect.suspend(() =>
          writer.write(accountId, Lane.data, replaceWrite(accountId, cuid(), report, Date.now(), form))
        ),
      sum: (accountId, query) =>
        BoundedList.ask(reader, "UsageReport", "report", {
          _tag: "List",
          sql: (query.sessionId === undefined ? sums.all : sums.ofSession)[query.groupBy],
          params: paramsOf(accountId, query),
          fields,
          kept: ["reportCount"],
          first: ["found"],
          constants: "",
          limit: reportLimit,
          bytesMax: BoundedList.pageBytes
        })
    })
  })
)
