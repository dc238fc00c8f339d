/** Events that are handled one at a time, in the order in which they came. */
import { Deferred, Effect, FiberId } from "effect"

export interface EventQueue {
  /**
   * Takes the next place, now: the effect it returns begins when the one before
   * has ended, and must be run. `undefined`: too many wait already.
   */
  readonly enter: <E>(handler: Effect.Effect<void, E>) => Effect.Effect<void, E> | undefined
}

/** A queue in which `limit` wait at most, behind the one that runs. */
export const make = (limit: number): EventQueue => {
  let count = 0
  let last: Deferred.Deferred<void> | undefined
  return {
    enter: (handler) => {
      if (count > limit) return undefined
      const before = last
      const done = Deferred.unsafeMake<void>(FiberId.none)
      last = done
      count += 1
      const turn = before === undefined ? handler : Effect.zipRight(Deferred.await(before), handler)
      return Effect.ensuring(
        turn,
        Effect.sync(() => {
          count -= 1
          if (last === done) last = undefined
          Deferred.unsafeDone(done, Effect.void)
        })
      )
    }
  }
}
