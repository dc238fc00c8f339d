import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** The clock around, whose wall time can be set: what is monotonic goes on as if nothing had happened. */
export const make = Effect.map(Effect.clock, (base) => {
  let offsetMillis = 0
  const unsafeCurrentTimeMillis = () => base.unsafeCurrentTimeMillis() + offsetMillis
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => base.sleep(duration),
    unsafeCurrentTimeMillis,
    unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    currentTimeNanos: base.currentTimeNanos
  }
  return {
    clock,
    /** Sets the wall clock forward, or back by a negative time. */
    set: (byMillis: number) => {
      offsetMillis += byMillis
    }
  }
})
