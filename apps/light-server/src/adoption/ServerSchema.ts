/**
 * The schema that this server needs: what its migrations make of an empty database.
 *
 * It is read from the migrations themselves and kept nowhere else, so it cannot differ from them.
 */
import Sqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import { MigrationFolderInvalid } from "../migration/MigrationError.ts"
import type { Migrations } from "../migration/MigrationFolder.ts"
import * as SchemaShape from "./SchemaShape.ts"

export interface ServerSchema extends SchemaShape.SchemaShape {
  /** The newest migration. */
  readonly version: string
}

/** Tables without which a database is not one of a happier light server. */
export const essentialTables: ReadonlyArray<string> = ["Account", "Session", "Machine"]

/** Columns that the schema has and no statement of this server names. A database may lack them. */
export const untouchedColumns: { readonly [table: string]: ReadonlyArray<string> | undefined } = {
  Account: ["feedSeq", "githubUserId"]
}

/** Indexes that statements name. An index with the same columns and another name is not sufficient. */
export const namedIndexes: ReadonlySet<string> = new Set([
  "presence_Session_accountId_active_idx",
  "presence_UsageReport_accountId_createdAt_idx",
  "presence_UsageReport_sessionId_createdAt_idx"
])

/** Whether a database must have this column. */
export const isNeeded = (table: string, column: string): boolean => untouchedColumns[table]?.includes(column) !== true

/**
 * Runs the migrations on a database in memory and reads what they leave.
 *
 * Fails with `MigrationFolderInvalid` when one of them fails.
 */
export const read = (
  migrationsDir: string,
  migrations: Migrations
): Effect.Effect<ServerSchema, MigrationFolderInvalid> =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Sqlite(":memory:")),
    (sqlite) =>
      Effect.try({
        try: () => {
          for (const { sql } of migrations) sqlite.exec(sql)
          return { ...SchemaShape.read(sqlite), version: (migrations.at(-1) ?? migrations[0]).name }
        },
        catch: (cause) =>
          new MigrationFolderInvalid({ migrationsDir, reason: cause instanceof Error ? cause.message : String(cause) })
      }),
    (sqlite) => Effect.sync(() => sqlite.close())
  )
