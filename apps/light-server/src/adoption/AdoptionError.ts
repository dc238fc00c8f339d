/** Why a database of another happier light server is not served. */
import * as Schema from "effect/Schema"

/**
 * The file is one of a happier light server, and this build cannot serve it as it is.
 *
 * Nothing was written. Repeating does not help: each reason names an obstacle.
 */
export class AdoptionRefused extends Schema.TaggedError<AdoptionRefused>("light-server/AdoptionRefused")(
  "AdoptionRefused",
  { filename: Schema.String, reasons: Schema.NonEmptyArray(Schema.String) }
) {
  readonly isRetryable = false

  override get message(): string {
    const reasons = this.reasons.map((reason) => `- ${reason}`).join("\n")
    return `${this.filename} is a database of a happier light server that this build cannot serve:\n${reasons}`
  }
}

/**
 * The file is one of a happier light server and needs additions, but the configuration forbids them. Nothing was
 * written.
 */
export class AdoptionMissing extends Schema.TaggedError<AdoptionMissing>("light-server/AdoptionMissing")(
  "AdoptionMissing",
  {
    filename: Schema.String,
    /** What would be added. */
    additions: Schema.Array(Schema.String)
  }
) {
  readonly isRetryable = false

  override get message(): string {
    const additions = this.additions.length === 0 ? "its record" : this.additions.join(", ")
    return (
      `${this.filename} is a database of a happier light server and needs ${additions}, ` +
      "and HAPPIER_SQLITE_AUTO_MIGRATE is off; turn it on for one start"
    )
  }
}
