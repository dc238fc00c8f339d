/** Why there is no backup, or none was restored. */
import { Schema } from "effect"

/** No backup was made, and nothing is left under its name. */
export class BackupImpossible extends Schema.TaggedError<BackupImpossible>("light-server/BackupImpossible")(
  "BackupImpossible",
  { databaseFile: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `no backup of ${this.databaseFile} was made: ${this.reason}`
  }
}

/** A backup that is damaged or contradicts itself. It stays where it is. */
export class BackupUnsound extends Schema.TaggedError<BackupUnsound>("light-server/BackupUnsound")("BackupUnsound", {
  file: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.file} cannot be restored: ${this.reason}`
  }
}

/** The database is what it was before, or complete under the name that the reason gives. */
export class RestoreFailed extends Schema.TaggedError<RestoreFailed>("light-server/RestoreFailed")("RestoreFailed", {
  databaseFile: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `${this.databaseFile} was not replaced: ${this.reason}`
  }
}
