/** Sessions of an account in the database of replicas. */
import { Effect } from "effect"
import type { ServerDatabase } from "../../../drivers/ServerDatabase.ts"
import * as ServerProcess from "./ServerProcess.ts"

/** Written past the servers, and not online. Answers with their ids. */
export const seed = (
  database: ServerDatabase,
  accountId: string,
  count: number,
  metadataBytes = 600
): Effect.Effect<ReadonlyArray<string>> => {
  const now = Date.now()
  const insert = `INSERT INTO "Session"
    ("id", "tag", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
    SELECT id, id, ?, repeat('m', ?::int), FALSE, ?::bigint, ?::bigint, ?::bigint FROM unnest(?::text[]) AS id`
  const ids = ServerProcess.sessionIds(count)
  const list = `{${ids.join(",")}}`
  return database
    .query(insert, accountId, metadataBytes, now - 3_600_000, now, now, list)
    .pipe(Effect.zipRight(database.query(`ANALYZE "Session"`)), Effect.as(ids))
}
