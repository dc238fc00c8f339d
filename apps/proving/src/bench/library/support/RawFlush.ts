/** The flush written by hand: better-sqlite3, one statement, prepared once. */
import Database from "better-sqlite3"
import type { FlushBatch } from "presence-effect/presence/FlushBatch"

const sql = `WITH entry(id, account, seen) AS MATERIALIZED (
  SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)
)
UPDATE "Session" SET
  "active" = 1,
  "lastActiveAt" = CASE WHEN entry.seen > "Session"."lastActiveAt" THEN entry.seen ELSE "Session"."lastActiveAt" END
FROM entry
WHERE "Session"."id" = entry.id AND "Session"."accountId" = entry.account
RETURNING "Session"."id" AS id, "Session"."active" AS active`

export interface RawFlush {
  /** Answers with the number of rows it wrote. */
  readonly flush: (batch: FlushBatch) => number
  readonly checkpoint: () => void
  readonly close: () => void
}

export const open = (filename: string): RawFlush => {
  const database = new Database(filename)
  database.pragma("synchronous = NORMAL")
  database.pragma("wal_autocheckpoint = 0")
  const statement = database.prepare<[string], { readonly id: string; readonly active: number }>(sql)
  return {
    flush: ({ entries }) =>
      statement.all(JSON.stringify(entries.map(({ accountId, id, seenAtMillis }) => [id, accountId, seenAtMillis])))
        .length,
    checkpoint: () => void database.pragma("wal_checkpoint(PASSIVE)"),
    close: () => void database.close()
  }
}
