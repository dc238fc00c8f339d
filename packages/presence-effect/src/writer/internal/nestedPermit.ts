import { Lane } from "../Lane.ts"
import { failure } from "./failureTerms.ts"

/**
 * A write or an opaque effect was asked for by the body of an opaque effect that
 * holds the permit: it would wait for itself. A mistake of the program, reported at
 * once. Nothing was handed to the engine.
 *
 * @category errors
 * @since 0.2.0
 */
export class NestedPermit extends failure<NestedPermit>("presence-effect/NestedPermit")("NestedPermit", {
  lane: Lane,
  /** Lane of the effect that holds the permit. */
  holder: Lane
}) {
  /** @since 0.2.0 */
  readonly isRetryable = false
  /** @since 0.2.0 */
  readonly written = "nothing" as const
  /** @since 0.2.0 */
  override get message(): string {
    const asked = `asked for lane ${this.lane} by an effect that holds the permit for lane ${this.holder}`
    return `${asked}: it would wait for itself`
  }
}
