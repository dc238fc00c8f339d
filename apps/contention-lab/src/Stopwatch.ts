/** Milliseconds since the load began, on the clock of the effects: real or virtual. */
import { type Clock, Effect } from "effect"

export interface Stopwatch {
  readonly start: () => void
  /** Zero until it is started. */
  readonly elapsedMillis: () => number
}

export const make: Effect.Effect<Stopwatch> = Effect.map(Effect.clock, (clock: Clock.Clock): Stopwatch => {
  let startedAt: bigint | undefined
  return {
    start: () => void (startedAt = clock.unsafeCurrentTimeNanos()),
    elapsedMillis: () => (startedAt === undefined ? 0 : Number(clock.unsafeCurrentTimeNanos() - startedAt) / 1e6)
  }
})
