/**
 * The table in which a file records the migrations it has applied, and the conclusions from it.
 *
 * The table, its columns and its values are Prisma's, so that Prisma's own tools can read and continue it.
 */
import * as Crypto from "node:crypto"
import type * as Sqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as DatabaseFile from "./DatabaseFile.ts"
import type { DatabaseFault } from "./DatabaseFile.ts"
import { DatabaseInvalid } from "./MigrationError.ts"
import type { Migration, Migrations } from "./MigrationFolder.ts"
import * as MigrationRefusal from "./MigrationRefusal.ts"

const createTable = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
    "id"                    TEXT PRIMARY KEY NOT NULL,
    "checksum"              TEXT NOT NULL,
    "finished_at"           DATETIME,
    "migration_name"        TEXT NOT NULL,
    "logs"                  TEXT,
    "rolled_back_at"        DATETIME,
    "started_at"            DATETIME NOT NULL DEFAULT current_timestamp,
    "applied_steps_count"   INTEGER UNSIGNED NOT NULL DEFAULT 0
)`

const selectTables = `SELECT name FROM sqlite_master
  WHERE type IN ('table', 'view') AND name NOT GLOB 'sqlite_*' ORDER BY name`

const selectRecorded = `SELECT
    migration_name AS name, checksum, finished_at IS NOT NULL AS isFinished, coalesce(logs, '') AS logs
  FROM "_prisma_migrations" WHERE rolled_back_at IS NULL ORDER BY migration_name, rowid`

const insertBegun = `INSERT INTO "_prisma_migrations" ("id", "checksum", "migration_name", "started_at")
  VALUES (?, ?, ?, ?)`

const updateFinished = `UPDATE "_prisma_migrations" SET "finished_at" = ?, "applied_steps_count" = 1 WHERE "id" = ?`

/** A migration that is recorded in the file as applied or begun. */
export const Recorded = Schema.Struct({
  name: Schema.String,
  checksum: Schema.String,
  isFinished: Schema.transform(Schema.Number, Schema.Boolean, { decode: (flag) => flag !== 0, encode: Number }),
  logs: Schema.String
})

const decodeRecorded = Schema.decodeUnknown(Schema.Array(Recorded))

/** The tables and the migration record of a file. */
export interface History {
  readonly filename: string
  /** Tables and views, without the record itself. */
  readonly tables: ReadonlyArray<string>
  readonly recorded: ReadonlyArray<typeof Recorded.Type>
}

/** Reads tables and record of an open file. Writes nothing. */
export const read = (connection: DatabaseFile.Connection): Effect.Effect<History, DatabaseFault> =>
  Effect.gen(function* () {
    const { filename, sqlite } = connection
    const names = yield* DatabaseFile.attempt(connection, () => sqlite.prepare<[], string>(selectTables).pluck().all())
    const rows = names.includes("_prisma_migrations")
      ? yield* DatabaseFile.attempt(connection, () => sqlite.prepare(selectRecorded).all())
      : []
    const recorded = yield* Effect.mapError(
      decodeRecorded(rows),
      (cause) => new DatabaseInvalid({ filename, reason: `_prisma_migrations: ${cause.message}` })
    )
    return { filename, tables: names.filter((name) => name !== "_prisma_migrations"), recorded }
  })

/** The migrations that `history` lacks, oldest first, or why the file must not be changed. */
export const pending = (
  history: History,
  migrations: Migrations
): Either.Either<ReadonlyArray<Migration>, MigrationRefusal.MigrationRefusal> => {
  const { filename, recorded, tables } = history
  const newest = migrations[migrations.length - 1] ?? migrations[0]
  if (recorded.length === 0 && tables.length > 0) {
    return Either.left(
      new MigrationRefusal.MigrationHistoryAbsent({ filename, fileTables: tables, ourMigration: migrations[0].name })
    )
  }
  for (const { checksum, isFinished, logs, name } of recorded) {
    const ours = migrations.find((migration) => migration.name === name)
    if (ours === undefined) {
      return Either.left(
        new MigrationRefusal.MigrationUnknown({ filename, fileMigration: name, ourMigration: newest.name })
      )
    }
    if (!isFinished) {
      return Either.left(
        new MigrationRefusal.MigrationUnfinished({ filename, fileMigration: name, ourMigration: newest.name, logs })
      )
    }
    if (ours.checksum !== checksum) {
      return Either.left(
        new MigrationRefusal.MigrationEdited({
          filename,
          migration: name,
          fileChecksum: checksum,
          ourChecksum: ours.checksum
        })
      )
    }
  }
  const taken = new Set(recorded.map(({ name }) => name))
  const skipped = migrations.find(({ name }) => !taken.has(name))
  const later = skipped && migrations.findLast(({ name }) => taken.has(name) && name > skipped.name)
  return skipped === undefined || later === undefined
    ? Either.right(migrations.filter(({ name }) => !taken.has(name)))
    : Either.left(
        new MigrationRefusal.MigrationSkipped({ filename, fileMigration: later.name, ourMigration: skipped.name })
      )
}

/**
 * Records that a migration begins, and returns the id of its entry. Throws the driver's error, so that a file that
 * cannot be written is detected before anything else is done for it.
 */
export const begin = (sqlite: Sqlite.Database, { checksum, name }: Migration, startedAtMillis: number): string => {
  const id = Crypto.randomUUID()
  sqlite.exec(createTable)
  sqlite.prepare(insertBegun).run(id, checksum, name, startedAtMillis)
  return id
}

/** Records that a migration has succeeded. Throws the driver's error. */
export const finish = (sqlite: Sqlite.Database, id: string, finishedAtMillis: number): void => {
  sqlite.prepare(updateFinished).run(finishedAtMillis, id)
}
