/** Why nothing was imported. The source is never written, and no half-made database is left. */
import * as Schema from "effect/Schema"

/** The source is not a database of a happier light server, or lacks something that every row needs. */
export class ImportSourceRefused extends Schema.TaggedError<ImportSourceRefused>("light-server/ImportSourceRefused")(
  "ImportSourceRefused",
  { filename: Schema.String, reasons: Schema.NonEmptyArray(Schema.String) }
) {
  readonly isRetryable = false

  override get message(): string {
    const reasons = this.reasons.map((reason) => `- ${reason}`).join("\n")
    return `${this.filename} cannot be imported:\n${reasons}`
  }
}

/** The target is not empty, is not a directory, or cannot be written. */
export class ImportTargetRefused extends Schema.TaggedError<ImportTargetRefused>("light-server/ImportTargetRefused")(
  "ImportTargetRefused",
  { directory: Schema.String, reason: Schema.String }
) {
  readonly isRetryable = false

  override get message(): string {
    return `nothing can be imported into ${this.directory}: ${this.reason}`
  }
}

/** The rows read back differ from those written, most likely because a disk or its memory is damaged. */
export class ImportMismatch extends Schema.TaggedError<ImportMismatch>("light-server/ImportMismatch")(
  "ImportMismatch",
  {
    table: Schema.String,
    written: Schema.String,
    readBack: Schema.String
  }
) {
  readonly isRetryable = false

  override get message(): string {
    const { readBack, table, written } = this
    return `${table} was written with checksum ${written} and read back with ${readBack}; nothing was kept`
  }
}
