/**
 * Waits for `self` inside a finalizer, at most for `limit`. Without a value: it was not over in time, and is
 * interrupted.
 *
 * Finalizers are uninterruptible; without `interruptible` the timeout would wait for `self` however long it takes. It
 * must be inside the timeout: around it, an already interrupted fiber, as at the end of a program, would not wait at
 * all.
 */
import type { DurationInput } from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Option } from "effect/Option"

export const withinFinalizer =
  (limit: DurationInput) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<Option<A>, E, R> =>
    Effect.timeoutOption(Effect.interruptible(self), limit)
