/**
 * The closed set of failures of a migration.
 *
 * A migration is written whole or not at all: when one fails, the file is as it was before that migration. Migrations
 * that the same run had finished before it stay.
 */
import * as Schema from "effect/Schema"
import { MigrationRefusal } from "./MigrationRefusal.ts"

/**
 * Another process kept the file locked for longer than the wait limit, most likely a second server that migrates it or
 * serves from it. The current migration was not written.
 */
export class MigrationBusy extends Schema.TaggedError<MigrationBusy>("light-server/MigrationBusy")("MigrationBusy", {
  filename: Schema.String,
  waitLimitMillis: Schema.NonNegative
}) {
  readonly isRetryable = true

  override get message(): string {
    return `${this.filename} is locked by another process; waited ${this.waitLimitMillis} ms`
  }
}

/**
 * The file is not a SQLite database, is damaged, or its migration record has an unexpected form. The current migration
 * was not written.
 */
export class DatabaseInvalid extends Schema.TaggedError<DatabaseInvalid>("light-server/DatabaseInvalid")(
  "DatabaseInvalid",
  { filename: Schema.String, reason: Schema.String }
) {
  readonly isRetryable = false

  override get message(): string {
    return `${this.filename} cannot be used as a database: ${this.reason}`
  }
}

/** The file, or the directory that must hold its journal, cannot be written. Nothing was written. */
export class DatabaseUnwritable extends Schema.TaggedError<DatabaseUnwritable>("light-server/DatabaseUnwritable")(
  "DatabaseUnwritable",
  { filename: Schema.String, reason: Schema.String }
) {
  readonly isRetryable = false

  override get message(): string {
    return `${this.filename} must be migrated but cannot be written: ${this.reason}`
  }
}

/**
 * The file cannot be opened or read: its directory is missing, its path is not a file, or the disk fails. The current
 * migration was not written.
 */
export class DatabaseUnreachable extends Schema.TaggedError<DatabaseUnreachable>("light-server/DatabaseUnreachable")(
  "DatabaseUnreachable",
  { filename: Schema.String, reason: Schema.String }
) {
  readonly isRetryable = false

  override get message(): string {
    return `${this.filename} cannot be opened: ${this.reason}`
  }
}

/**
 * The folder of migrations cannot be read, is empty, or holds a migration that cannot be run in one transaction. No
 * database file was opened.
 */
export class MigrationFolderInvalid extends Schema.TaggedError<MigrationFolderInvalid>(
  "light-server/MigrationFolderInvalid"
)("MigrationFolderInvalid", { migrationsDir: Schema.String, reason: Schema.String }) {
  readonly isRetryable = false

  override get message(): string {
    return `migrations in ${this.migrationsDir}: ${this.reason}`
  }
}

/**
 * The copy that must exist before a file with rows is migrated could not be made. Nothing was migrated, and no partial
 * copy is left under the final name.
 */
export class BackupFailed extends Schema.TaggedError<BackupFailed>("light-server/BackupFailed")("BackupFailed", {
  filename: Schema.String,
  backup: Schema.String,
  reason: Schema.String
}) {
  readonly isRetryable = false

  override get message(): string {
    return `${this.filename} was not migrated: no backup could be made at ${this.backup}: ${this.reason}`
  }
}

/** A statement of the migration failed. The migration was rolled back. */
export class MigrationFailed extends Schema.TaggedError<MigrationFailed>("light-server/MigrationFailed")(
  "MigrationFailed",
  {
    filename: Schema.String,
    migration: Schema.String,
    /** The driver's code, such as `SQLITE_FULL`. */
    code: Schema.String,
    reason: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    return `migration ${this.migration} of ${this.filename} failed and was rolled back: ${this.reason} (${this.code})`
  }
}

/** The migration would leave a row whose foreign key refers to a missing row. The migration was rolled back. */
export class ForeignKeyBroken extends Schema.TaggedError<ForeignKeyBroken>("light-server/ForeignKeyBroken")(
  "ForeignKeyBroken",
  {
    filename: Schema.String,
    migration: Schema.String,
    /** The table of one such row. */
    table: Schema.String,
    /** Its rowid; `null` for a table without rowids. */
    rowid: Schema.NullOr(Schema.Number),
    /** The table it points to. */
    parent: Schema.String,
    violationCount: Schema.Positive
  }
) {
  readonly isRetryable = false

  override get message(): string {
    return (
      `migration ${this.migration} of ${this.filename} was rolled back: row ${this.rowid} of ${this.table} ` +
      `would point to a missing row of ${this.parent} (${this.violationCount} in all)`
    )
  }
}

/** Schema for the closed set of migration failures, the refusals included. */
export const MigrationError: Schema.Union<
  [
    typeof MigrationRefusal,
    typeof MigrationBusy,
    typeof DatabaseInvalid,
    typeof DatabaseUnwritable,
    typeof DatabaseUnreachable,
    typeof MigrationFolderInvalid,
    typeof BackupFailed,
    typeof MigrationFailed,
    typeof ForeignKeyBroken
  ]
> = Schema.Union(
  MigrationRefusal,
  MigrationBusy,
  DatabaseInvalid,
  DatabaseUnwritable,
  DatabaseUnreachable,
  MigrationFolderInvalid,
  BackupFailed,
  MigrationFailed,
  ForeignKeyBroken
)

export type MigrationError = typeof MigrationError.Type
