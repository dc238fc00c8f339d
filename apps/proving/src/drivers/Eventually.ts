/**
 * Waiting for something without a notification: a row in a file, a status.
 */
import { Cause, Duration, Effect, Schedule } from "effect"

/**
 * Repeats a question until the answer is the expected one, and returns how long that took. Dies when it is longer than
 * `within`.
 */
export const until = <A, E>(
  ask: Effect.Effect<A, E>,
  isMeant: (answer: A) => boolean,
  within: Duration.DurationInput = "10 seconds"
): Effect.Effect<{ readonly answer: A; readonly millis: number }, E> => {
  let last: A | undefined
  return ask.pipe(
    Effect.tap((answer) => Effect.sync(() => (last = answer))),
    Effect.repeat({ until: isMeant, schedule: Schedule.spaced("25 millis") }),
    Effect.map(() => last as A),
    Effect.timed,
    Effect.map(([duration, answer]) => ({ answer, millis: Math.round(Duration.toMillis(duration)) })),
    Effect.timeoutFailCause({
      duration: within,
      onTimeout: () => Cause.die(new Error(`not within ${Duration.format(within)}, but ${JSON.stringify(last)}`))
    })
  )
}

/**
 * Asks again while the answer is a passing one, three times at most and two seconds apart. A disk may keep a write
 * longer than its deadline, and clients that are told so come back.
 */
export const whilePassing =
  <A>(isPassing: (answer: A) => boolean) =>
  <E, R>(ask: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    ask.pipe(
      Effect.tap((answer) => (isPassing(answer) ? Effect.sleep("2 seconds") : Effect.void)),
      Effect.repeat({ while: isPassing, times: 3 })
    )
