/** Why the supervisor does not run the server. */
import { Schema } from "effect"

/** The unit was not written or removed, or the supervisor refused. */
export class ServiceFailed extends Schema.TaggedError<ServiceFailed>("light-server/ServiceFailed")("ServiceFailed", {
  reason: Schema.String
}) {
  override get message(): string {
    return this.reason
  }
}
