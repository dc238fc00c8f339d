/** Usage reports in the database. */
import { Context, Effect, Layer, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { cuid } from "../database/Ids.ts"
import { StoredTime } from "../database/StoredTime.ts"
import * as TimeForm from "../database/TimeForm.ts"
import { PeriodAmount, type UsageQuery } from "./UsageQuery.ts"
import type { Receipt, UsageReport } from "./UsageReport.ts"

export class UsageStore extends Context.Tag("light-server/UsageStore")<
  UsageStore,
  {
    /** Stores a report, or replaces the one with its key. Conflicts when the session does not belong to the account. */
    readonly replace: (accountId: string, report: UsageReport) => Effect.Effect<Receipt, WriterError>
    /** The sums of the newest 5000 reports that the query means, in one statement. */
    readonly sum: (accountId: string, query: UsageQuery) => Effect.Effect<ReadonlyArray<PeriodAmount>, ReadFailed>
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

const reportLimit = 5000

const periodSeconds = { hour: 3600, day: 86_400 } as const

/** Files of any age hold integers or texts, whatever is written now. */
const millisOfColumn = `CASE typeof("createdAt") WHEN 'text' THEN unixepoch("createdAt") * 1000 ELSE "createdAt" END`

const sumOf = (part: "tokens" | "cost") => `
SELECT "timestamp", '${part}', item."key", sum(item."value") FROM report, json_each("data", '$.${part}') AS item
WHERE typeof(item."key") = 'text' AND item."type" IN ('integer', 'real') GROUP BY "timestamp", item."key"`

/**
 * The texts are read for the newest reports only: the reader shares its thread with everything else. Damaged rows of
 * other programs are left out; what is no number within a report counts as none.
 */
const sumBy = (groupBy: UsageQuery["groupBy"], ofSession: string) => `
WITH recent AS MATERIALIZED (
  SELECT ${millisOfColumn} AS "millis", rowid AS "place" FROM "UsageReport"
  WHERE "accountId" = ? ${ofSession} AND "millis" BETWEEN ? AND ?
  ORDER BY "millis" DESC LIMIT ${reportLimit}
), report AS MATERIALIZED (
  SELECT "millis" / ${periodSeconds[groupBy] * 1000} * ${periodSeconds[groupBy]} AS "timestamp", "data"
  FROM recent JOIN "UsageReport" ON "UsageReport".rowid = "place" WHERE json_valid("data")
)
SELECT "timestamp", 'reports' AS "part", '' AS "name", count(*) AS "amount" FROM report GROUP BY "timestamp"
UNION ALL ${sumOf("tokens")}
UNION ALL ${sumOf("cost")}`

const sums = {
  all: { hour: sumBy("hour", ""), day: sumBy("day", "") },
  ofSession: { hour: sumBy("hour", `AND "sessionId" = ?`), day: sumBy("day", `AND "sessionId" = ?`) }
}

const rangeOf = ({ startTime, endTime }: UsageQuery) => [
  startTime === undefined ? 0 : Math.ceil(startTime * 1000),
  endTime === undefined ? Number.MAX_SAFE_INTEGER : Math.floor(endTime * 1000)
]

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
    const writer = yield* SqliteWriter
    const form = yield* TimeForm.TimeForm
    return UsageStore.of({
      replace: (accountId, report) =>
        Effect.suspend(() => writer.write(Lane.data, replaceWrite(accountId, cuid(), report, Date.now(), form))),
      sum: (accountId, query) =>
        query.sessionId === undefined
          ? reader.rows(PeriodAmount, sums.all[query.groupBy], [accountId, ...rangeOf(query)])
          : reader.rows(PeriodAmount, sums.ofSession[query.groupBy], [accountId, query.sessionId, ...rangeOf(query)])
    })
  })
)
