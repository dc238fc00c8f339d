/** A time limit that also holds inside a finalizer. */
import { type Duration, Effect, type Option } from "effect"

/**
 * Waits for an effect, at most `limit`. Nothing when the limit was reached; the
 * effect is interrupted then.
 *
 * Finalizers are uninterruptible. `interruptible` must be inside the timeout:
 * without it the timeout would wait for the effect, and around it an already
 * interrupted fiber would skip the effect.
 */
export const within =
  (limit: Duration.DurationInput) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Option.Option<A>, E, R> =>
    Effect.timeoutOption(Effect.interruptible(self), limit)
