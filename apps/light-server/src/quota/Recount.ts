/**
 * Counts anew what an account stores, so that what triggers keep is right whatever happened to the file before: an
 * account from before the quota, rows that another program has written, a session that was deleted in several writes.
 *
 * The count is one statement in a thread that reads: what is stored, and what the table says, of the same moment. The
 * difference is added afterwards, so writes in between are neither lost nor counted twice.
 */
import { Effect, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { SqlValue } from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { DatabaseReader } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import type { Dialect } from "../database/Dialect.ts"
import * as CountedTable from "./CountedTable.ts"

export interface Usage {
  readonly bytes: number
  readonly rows: number
}

const Total = Schema.Struct({ bytes: Schema.Number, rows: Schema.Number })

const Kept = Schema.Struct({
  bytes: Schema.Number,
  rows: Schema.Number,
  byteCount: Schema.Number,
  rowCount: Schema.Number,
  recountCount: Schema.Number
})

const selectTotal = (dialect: Dialect) =>
  `WITH owner AS MATERIALIZED (SELECT ? AS "id") ${CountedTable.totalOf(dialect)}`

const selectKept = (dialect: Dialect) => `WITH owner AS MATERIALIZED (SELECT ? AS "id")
  SELECT * FROM (${CountedTable.totalOf(dialect)}) AS "total"
  JOIN "PresenceAccountUsage" ON "accountId" = (SELECT "id" FROM owner)`

// Writes of the account that run meanwhile find no totals to add to, and would be lost to a count that does not see
// their rows either. So this waits for them, and they wait for this.
const begin = ({ lockingRow }: Dialect) =>
  `INSERT INTO "PresenceAccountUsage" ("accountId", "byteCount", "rowCount", "isCounted", "recountCount")
  SELECT "id", 0, 0, FALSE, 0 FROM "Account" WHERE "id" = ?
    AND NOT EXISTS (SELECT 1 FROM "PresenceAccountUsage" WHERE "accountId" = "Account"."id") ${lockingRow}
  ON CONFLICT ("accountId") DO NOTHING`

// A correction that was not confirmed may come late. It is for the recount it was made for, and for no later one.
const correct = `UPDATE "PresenceAccountUsage" SET "byteCount" = "byteCount" + ?, "rowCount" = "rowCount" + ?,
    "isCounted" = TRUE, "recountCount" = "recountCount" + 1
  WHERE "accountId" = ? AND "recountCount" = ?`

/** What the account stores now, read from its rows. */
export const sum = (
  reader: Pick<DatabaseReader["Type"], "dialect" | "rowsAside">,
  accountId: string
): Effect.Effect<Usage, ReadFailure> =>
  Effect.map(
    reader.rowsAside("report", Total, selectTotal(reader.dialect), [accountId]),
    ([row]) => row ?? { bytes: 0, rows: 0 }
  )

/** Attempts of a count that those of other servers overtake. */
const attemptsMax = 3

/**
 * Brings the kept totals of an account in line with its rows. Of several that run for an account, such as in two
 * replicas, one corrects the totals and the others count again.
 *
 * The reserve of the disk is no reason not to count.
 */
export const run = (
  reader: Pick<DatabaseReader["Type"], "dialect" | "rowsAside">,
  writer: Pick<Writer["Type"], "write">,
  accountId: string
): Effect.Effect<void, ReadFailure | WriterError> =>
  Effect.gen(function* () {
    const write = (sql: string, params: ReadonlyArray<SqlValue>, changes?: number) =>
      writer.write(
        Lane.maintenance,
        Write.statement(sql, params, changes === undefined ? {} : { changes }).pipe(
          Write.withLock(accountId),
          Write.withReserve
        )
      )
    yield* write(begin(reader.dialect), [accountId])
    const [found] = yield* reader.rowsAside("report", Kept, selectKept(reader.dialect), [accountId])
    // The account is gone.
    if (found === undefined) return
    const difference = [found.bytes - found.byteCount, found.rows - found.rowCount]
    yield* write(correct, [...difference, accountId, found.recountCount], 1)
  }).pipe(Effect.retry({ times: attemptsMax - 1, while: ({ _tag }) => _tag === "WriteConflict" }))
