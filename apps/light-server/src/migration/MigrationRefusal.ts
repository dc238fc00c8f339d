/**
 * Why a database file is not changed: its migration record does not fit the migrations of this build.
 *
 * A refusal is decided before the first write, so the file is as it was, byte for byte.
 */
import * as Schema from "effect/Schema"

/**
 * The file was written by a newer build, or by another project with migrations of its own.
 *
 * Nothing was written. Repeating does not help: start the build that has `fileMigration`, or restore a backup.
 */
export class MigrationUnknown extends Schema.TaggedError<MigrationUnknown>("light-server/MigrationUnknown")(
  "MigrationUnknown",
  {
    filename: Schema.String,
    /** The first migration in the file that this build does not have. */
    fileMigration: Schema.String,
    /** The newest migration of this build. */
    ourMigration: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    const { fileMigration, filename, ourMigration } = this
    return `${filename} has migration ${fileMigration}, which this build does not know; its newest is ${ourMigration}`
  }
}

/**
 * A migration was changed after the file had applied it: the same name, another text.
 *
 * Nothing was written. Repeating does not help: restore the text with `fileChecksum`.
 */
export class MigrationEdited extends Schema.TaggedError<MigrationEdited>("light-server/MigrationEdited")(
  "MigrationEdited",
  {
    filename: Schema.String,
    migration: Schema.String,
    /** SHA-256 of the text the file was migrated with. */
    fileChecksum: Schema.String,
    /** SHA-256 of the text of this build. */
    ourChecksum: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    return (
      `${this.filename} took migration ${this.migration} with checksum ${this.fileChecksum}, ` +
      `this build has it with ${this.ourChecksum}`
    )
  }
}

/**
 * A migration was begun in the file and neither finished nor marked as rolled back. Only Prisma's own tools leave this
 * behind: here a migration and its record are one transaction.
 *
 * Nothing was written. Repeating does not help: restore the backup from before it, or repair by hand.
 */
export class MigrationUnfinished extends Schema.TaggedError<MigrationUnfinished>("light-server/MigrationUnfinished")(
  "MigrationUnfinished",
  {
    filename: Schema.String,
    fileMigration: Schema.String,
    /** The newest migration of this build. */
    ourMigration: Schema.String,
    /** The log of the tool that failed; empty when it has none. */
    logs: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    const logs = this.logs === "" ? "" : `: ${this.logs}`
    return (
      `${this.filename} has an unfinished migration ${this.fileMigration}, ` +
      `this build wants to reach ${this.ourMigration}${logs}`
    )
  }
}

/**
 * The file lacks a migration although it has a later one: the histories differ.
 *
 * Nothing was written. Repeating does not help.
 */
export class MigrationSkipped extends Schema.TaggedError<MigrationSkipped>("light-server/MigrationSkipped")(
  "MigrationSkipped",
  {
    filename: Schema.String,
    /** The later migration, which the file has. */
    fileMigration: Schema.String,
    /** The earlier one, which it lacks. */
    ourMigration: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    const { fileMigration, filename, ourMigration } = this
    return `${filename} has migration ${fileMigration} but not ${ourMigration}, which comes before it in this build`
  }
}

/**
 * The file has tables and no record of a migration, so it is unknown which ones it still needs.
 *
 * Nothing was written. Repeating does not help: name another file, or import this one.
 */
export class MigrationHistoryAbsent extends Schema.TaggedError<MigrationHistoryAbsent>(
  "light-server/MigrationHistoryAbsent"
)("MigrationHistoryAbsent", {
  filename: Schema.String,
  /** What the file holds instead. */
  fileTables: Schema.Array(Schema.String),
  /** The first migration of this build. */
  ourMigration: Schema.String
}) {
  readonly isRetryable = false

  override get message(): string {
    const shown = this.fileTables.slice(0, 5).join(", ")
    const rest = this.fileTables.length > 5 ? ` and ${this.fileTables.length - 5} more` : ""
    return (
      `${this.filename} has tables (${shown}${rest}) but no record of a migration; ` +
      `this build begins with ${this.ourMigration}`
    )
  }
}

/** Schema for the closed set of refusals. */
export const MigrationRefusal: Schema.Union<
  [
    typeof MigrationUnknown,
    typeof MigrationEdited,
    typeof MigrationUnfinished,
    typeof MigrationSkipped,
    typeof MigrationHistoryAbsent
  ]
> = Schema.Union(MigrationUnknown, MigrationEdited, MigrationUnfinished, MigrationSkipped, MigrationHistoryAbsent)

export type MigrationRefusal = typeof MigrationRefusal.Type
