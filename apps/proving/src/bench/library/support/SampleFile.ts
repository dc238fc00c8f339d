/** A database file as a light server has it: sessions with a payload, their indexes, gathered statistics. */
import Database from "better-sqlite3"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { FlushBatch } from "presence-effect/presence/FlushBatch"

export const accountId = "c0000000000000000000account"

/** As long as a cuid and, like one, greater than all that were made before it. */
export const sessionId = (index: number): string => `c${index.toString(36).padStart(24, "0")}`

/** The same as a decoder makes it, with bytes of its own: a concatenation would point to its parts. */
export const decodedId = (index: number): string => Buffer.from(sessionId(index), "latin1").toString("latin1")

const tableDdl = (table: string): string => `
CREATE TABLE "${table}" (
  "id" TEXT NOT NULL PRIMARY KEY,
  "accountId" TEXT NOT NULL,
  "metadata" TEXT NOT NULL,
  "active" BOOLEAN NOT NULL DEFAULT true,
  "lastActiveAt" DATETIME NOT NULL,
  "updatedAt" DATETIME NOT NULL
);
CREATE INDEX "${table}_accountId_updatedAt_idx" ON "${table}"("accountId", "updatedAt");
CREATE INDEX "${table}_active_lastActiveAt_idx" ON "${table}"("active", "lastActiveAt");
CREATE UNIQUE INDEX "${table}_accountId_id_key" ON "${table}"("accountId", "id");`

const ballastDdl = `CREATE TABLE "Message" ("id" INTEGER PRIMARY KEY, "content" BLOB NOT NULL);`

export interface Shape {
  readonly sessionCount: number
  readonly metadataBytes?: number
  /** Rows of another table between the sessions, so that the file has at least this size. */
  readonly fileBytes?: number
}

/** When every session of a fresh file was last active. */
export const createdAtMillis = 1_700_000_000_000

/** Makes a file below the directory of this run, and answers with its name. */
export const make = ({ fileBytes = 0, metadataBytes = 600, sessionCount }: Shape): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sample-"))
  const filename = path.join(directory, "sample.sqlite")
  const database = new Database(filename)
  database.pragma("journal_mode = WAL")
  database.pragma("synchronous = OFF")
  database.exec(tableDdl("Session") + tableDdl("Machine") + ballastDdl)
  const session = database.prepare(`INSERT INTO "Session" VALUES (?, ?, ?, 1, ?, ?)`)
  const message = database.prepare(`INSERT INTO "Message" ("content") VALUES (randomblob(?))`)
  const metadata = "m".repeat(metadataBytes)
  const ballastBytes = fileBytes / Math.max(1, sessionCount)
  database.transaction(() => {
    for (let index = 0; index < sessionCount; index++) {
      session.run(sessionId(index), accountId, metadata, createdAtMillis, createdAtMillis)
      if (ballastBytes > 0) message.run(Math.ceil(ballastBytes))
    }
  })()
  database.exec("ANALYZE")
  database.pragma("wal_checkpoint(TRUNCATE)")
  database.close()
  return filename
}

/** What the benchmarks keep online. */
export const kinds = { session: { table: "Session", accountId: "accountId" } } as const

/** Coprime to every count of rows here, so that each multiple of it is another row. */
const stride = 7_919

/**
 * A heartbeat at `seenAtMillis` of `count` out of `sessionCount` sessions. They are spread over the file and come in no
 * order, as heartbeats do.
 */
export const batch = (count: number, sessionCount: number, seenAtMillis: number): FlushBatch => ({
  entries: Array.from({ length: count }, (_, index) => ({
    kind: "session",
    accountId,
    id: sessionId((index * stride) % sessionCount),
    seenAtMillis,
    state: "alive"
  }))
})
