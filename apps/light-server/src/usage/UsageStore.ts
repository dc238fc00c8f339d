/**
 * Usage reports in the database.
 *
 * @since 0.1.0
 */
import { Context, Effect, Layer, Schema } from "effect"
import * as Lane from "presence-effect/Lane"
import { SqliteWriter } from "presence-effect/SqliteWriter"
import * as Write from "presence-effect/Write"
import type { WriterError } from "presence-effect/WriterError"
import { cuid } from "../database/Ids.ts"
import { StoredTime } from "../database/StoredTime.ts"
import type { Receipt, UsageReport } from "./UsageReport.ts"

/**
 * @category services
 * @since 0.1.0
 */
export class UsageStore extends Context.Tag("light-server/UsageStore")<
  UsageStore,
  {
    /** Stores a report, or replaces the one with its key. Conflicts when the session does not belong to the account. */
    readonly replace: (accountId: string, report: UsageReport) => Effect.Effect<Receipt, WriterError>
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

/**
 * The write of a report.
 *
 * @category writes
 * @since 0.1.0
 */
export const replaceWrite = (
  accountId: string,
  id: string,
  report: UsageReport,
  nowMillis: number
): Write.Write<Receipt> => {
  const { key, sessionId, tokens, cost } = report
  const data = JSON.stringify({ tokens, cost })
  const statement =
    sessionId === undefined
      ? Write.statement(withoutSession, [id, key, accountId, data, nowMillis, nowMillis], { changes: 1 })
      : Write.statement(withSession, [id, key, data, nowMillis, nowMillis, accountId, sessionId], { changes: 1 })
  return statement.pipe(
    Write.decodeRows(Stored),
    Write.map(([row]) => ({
      reportId: row?.id ?? id,
      createdAt: row?.createdAt ?? nowMillis,
      updatedAt: row?.updatedAt ?? nowMillis
    }))
  )
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<UsageStore, never, SqliteWriter> = Layer.effect(
  UsageStore,
  Effect.map(SqliteWriter, (writer) =>
    UsageStore.of({
      replace: (accountId, report) =>
        Effect.suspend(() => writer.write(Lane.data, replaceWrite(accountId, cuid(), report, Date.now())))
    })
  )
)
