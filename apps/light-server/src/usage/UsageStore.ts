/** Usage reports in the database. */
import { Context, Effect, Layer, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { cuid } from "../database/Ids.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Field } from "../database/ReadRequest.ts"
import { StoredTime } from "../database/StoredTime.ts"
import type { Dialect } from "../database/Dialect.ts"
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

const parts = ["tokens", "cost"] as const

/**
 * The texts are read for the newest reports only. Damaged rows of other programs are left out; a value in a report that
 * is not a number is ignored.
 */
const sumBy = (
  { joinInOrder, indexedBy, keyOf, usage }: Dialect,
  groupBy: UsageQuery["groupBy"],
  ofSession: string
) => {
  const seconds = periodSeconds[groupBy]
  const sumsOf = parts.map(
    (part) => `SELECT "timestamp", '${part}' AS "part", item."key" AS "name", ${usage.total} AS "amount"
    FROM report ${usage.numbersIn("data", part)} GROUP BY item."key", "timestamp"`
  )
  const named = parts.map((part) => `coalesce(${usage.amountsByName(`"part" = '${part}'`)}, '{}') AS "${part}"`)
  return `WITH recent AS MATERIALIZED (${usage.newest(ofSession, reportLimit)}), report AS MATERIALIZED (
    SELECT "millis" / ${seconds * 1000} * ${seconds} AS "timestamp", ${usage.parsed("data")} AS "data"
    FROM (SELECT * FROM recent ORDER BY "millis" DESC LIMIT ${reportLimit}) AS newest
    ${joinInOrder} "UsageReport" ${indexedBy(keyOf("UsageReport"))} ON "id" = "place" WHERE ${usage.isReadable("data")}
  ), summed AS (${sumsOf.join(" UNION ALL ")}), numbered AS (
    SELECT *, row_number() OVER (PARTITION BY "timestamp", "part" ORDER BY "name") AS "number" FROM summed
  ), named AS MATERIALIZED (
    SELECT "timestamp" AS "namedAt", ${named.join(", ")}
    FROM numbered WHERE "number" <= ${nameLimit} GROUP BY "timestamp"
  ), counted AS (SELECT "timestamp", count(*) AS "reportCount" FROM report GROUP BY "timestamp")
  SELECT CAST("timestamp" AS BIGINT) AS "timestamp", "reportCount", coalesce("tokens", '{}') AS "tokens",
    coalesce("cost", '{}') AS "cost", (SELECT count(*) FROM recent) AS "found"
  FROM counted LEFT JOIN named ON "namedAt" = "timestamp" ORDER BY "timestamp" DESC`
}

/** The statements, by what is asked for. */
export const sumsOf = (dialect: Dialect) => ({
  all: { hour: sumBy(dialect, "hour", ""), day: sumBy(dialect, "day", "") },
  ofSession: {
    hour: sumBy(dialect, "hour", `"sessionId" = ? AND `),
    day: sumBy(dialect, "day", `"sessionId" = ? AND `)
  }
})

const fields: ReadonlyArray<Field> = [
  { column: "timestamp", kind: "int", as: "timestamp" },
  { column: "tokens", kind: "json", as: "tokens" },
  { column: "cost", kind: "json", as: "cost" },
  { column: "reportCount", kind: "int", as: "reportCount" }
]

const paramsOf = ({ usage }: Dialect, accountId: string, { endTime, sessionId, startTime }: UsageQuery) => {
  const from = startTime === undefined ? 0 : Math.ceil(startTime * 1000)
  const to = endTime === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(endTime * 1000)
  return usage.newestParams(sessionId === undefined ? [accountId] : [sessionId, accountId], from, to)
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

export const layer: Layer.Layer<UsageStore, never, DatabaseReader | Writer> = Layer.effect(
  UsageStore,
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* AccountWriter.make
    const form = yield* TimeForm.TimeForm
    const sums = sumsOf(reader.dialect)
    return UsageStore.of({
      replace: (accountId, report) =>
        Effect.suspend(() =>
          writer.write(accountId, Lane.data, replaceWrite(accountId, cuid(), report, Date.now(), form))
        ),
      sum: (accountId, query) =>
        BoundedList.ask(reader, "UsageReport", "report", {
          _tag: "List",
          sql: (query.sessionId === undefined ? sums.all : sums.ofSession)[query.groupBy],
          params: paramsOf(reader.dialect, accountId, query),
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
