/** Why a database was not copied. Nothing of the target is kept. */
import { Schema } from "effect"

/** The place that cannot be copied from or to. */
export class CopyRefused extends Schema.TaggedError<CopyRefused>("light-server/CopyRefused")("CopyRefused", {
  place: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `nothing was copied, because of ${this.place}: ${this.reason}`
  }
}
