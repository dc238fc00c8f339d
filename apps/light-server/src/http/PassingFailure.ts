/**
 * Which failures are temporary, and how long a caller retries.
 *
 * One rule for HTTP and for sockets: a failure that HTTP answers with
 * `Retry-After` is temporary; every other one is final.
 */
import { Clock, Effect, Random } from "effect"
import { type Failure, toHttp } from "./FailureTable.ts"

/** The same request can succeed a little later. */
export const isPassing = (failure: Failure): boolean => toHttp(failure).retryAfterMillis !== undefined

/** Failures of a lock or a queue, which end within moments. A full disk does not. */
const soonMillis = 2000

const isSoon = (failure: Failure): boolean => {
  const { retryAfterMillis } = toHttp(failure)
  return retryAfterMillis !== undefined && retryAfterMillis <= soonMillis && failure._tag !== "WriterClosed"
}

const firstDelayMillis = 50
const delayMillisMax = 1000

/**
 * The wait before the next attempt. It doubles, up to a second, and is spread so
 * that the waiting callers do not all come back in the same instant.
 */
export const delayBefore = (attempt: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextRange(0.5, 1), (share) =>
    Effect.sleep(share * Math.min(delayMillisMax, firstDelayMillis * 2 ** Math.min(attempt, 10)))
  )

/**
 * Repeats `effect` while it fails for a reason that ends within moments. The
 * last attempt begins before `withinMillis` have passed, so the total time is
 * at most that plus the deadline of one attempt. `effect` must be idempotent.
 */
export const persist = <A, E extends Failure, R>(
  effect: Effect.Effect<A, E, R>,
  withinMillis: number
): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const startedAt = yield* Clock.currentTimeMillis
    const attempt = (count: number): Effect.Effect<A, E, R> =>
      Effect.catchAll(effect, (failure) =>
        Effect.gen(function* () {
          const isLate = Effect.map(Clock.currentTimeMillis, (now) => now - startedAt >= withinMillis)
          if (!isSoon(failure) || (yield* isLate)) return yield* Effect.fail(failure)
          yield* delayBefore(count)
          return (yield* isLate) ? yield* Effect.fail(failure) : yield* attempt(count + 1)
        })
      )
    return yield* attempt(0)
  })
