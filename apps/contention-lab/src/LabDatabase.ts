/** The database of one run: the tables of the light server, made by its own migrations, and the rows that beat. */
import type Database from "better-sqlite3"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { accountId, type Workload } from "./Workload.ts"

const migrations = fileURLToPath(
  new URL(
    import.meta.url.endsWith(".ts") ? "../../../prisma/migrations/" : "../../../../prisma/migrations/",
    import.meta.url
  )
)

const migrate = (database: Database.Database): void => {
  const folders = fs.readdirSync(migrations, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of folders.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
    database.exec(fs.readFileSync(`${migrations}${name}/migration.sql`, "utf8"))
  }
}

/** Brings an empty database to where a server is in the middle of its day. */
export const prepare = (database: Database.Database, { machines, sessions }: Workload, nowMillis: number): void => {
  database.pragma("journal_mode = WAL")
  migrate(database)
  const fill = database.transaction(() => {
    database
      .prepare(`INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)`)
      .run(accountId, "key", nowMillis, nowMillis)
    const row = `"accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt"`
    const session = database.prepare(`INSERT INTO "Session" ("id", "tag", ${row}) VALUES (?, ?, ?, ?, ?, ?, ?)`)
    for (const { id } of sessions) session.run(id, id, accountId, "ciphertext", nowMillis, nowMillis, nowMillis)
    const machine = database.prepare(`INSERT INTO "Machine" ("id", ${row}) VALUES (?, ?, ?, ?, ?, ?)`)
    for (const { id } of machines) machine.run(id, accountId, "ciphertext", nowMillis, nowMillis, nowMillis)
  })
  fill()
}

/** What is in the file, whatever was acknowledged. */
export interface Evidence {
  /** Registrations that were acknowledged and are not there. */
  readonly acknowledgedMissingCount: number
  /** Age of the oldest stored sign of life among sessions that beat all the time. */
  readonly storedAgeMaxMillis: number
  readonly messageCount: number
  readonly reportCount: number
}

export const examine = (
  database: Database.Database,
  acknowledged: ReadonlyArray<string>,
  nowMillis: number
): Evidence => {
  const one = (sql: string): number => Number(database.prepare(sql).pluck().get())
  const stored = new Set(database.prepare(`SELECT "id" FROM "Machine"`).pluck().all())
  return {
    acknowledgedMissingCount: acknowledged.filter((id) => !stored.has(id)).length,
    storedAgeMaxMillis: Math.max(0, nowMillis - one(`SELECT min("lastActiveAt") FROM "Session"`)),
    messageCount: one(`SELECT count(*) FROM "SessionMessage"`),
    reportCount: one(`SELECT count(*) FROM "UsageReport"`)
  }
}
