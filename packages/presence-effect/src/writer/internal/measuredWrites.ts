import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { type KeptSpan, useKeptSpan } from "../../internal/keptSpan.ts"
import type { Lane } from "../Lane.ts"
import type { Write } from "../Write.ts"
import type { WriterError } from "../WriterError.ts"
import { isWriterError, WriteUndecodable } from "../WriterError.ts"
import * as WriterPolicy from "../WriterPolicy.ts"
import type { Attempts } from "./attempts.ts"
import { demandBindable } from "./bindable.ts"
import type { Deadlines } from "./deadlines.ts"
import { withRetries } from "./retries.ts"
import { withAttemptSpans } from "./writeSpan.ts"
import type { WriterJournal } from "./writerJournal.ts"

/** The label `outcome` of `writer_writes_total` for a write that ended so. */
const outcomeOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "committed"
  if (Cause.isInterruptedOnly(exit.cause)) return "interrupted"
  const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return isWriterError(failure) ? failure._tag : "failed"
}

/** Records the outcome of a call in the journal and in its span. */
export const makeTold =
  (journal: WriterJournal) =>
  <A, E, R>(
    lane: Lane,
    span: KeptSpan,
    attemptCount: () => number,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> =>
    Effect.onExit(self, (exit) =>
      Effect.sync(() => {
        const outcome = outcomeOf(exit)
        journal.told(lane, outcome)
        span?.attribute("outcome", outcome)
        span?.attribute("attempts", attemptCount())
      })
    )

interface Parts {
  readonly policy: WriterPolicy.ResolvedPolicy
  readonly attempts: Attempts
  readonly deadlines: Deadlines
  readonly told: ReturnType<typeof makeTold>
  /** Fails where the lane must not be asked for a permit. */
  readonly demandOutside: (lane: Lane) => Effect.Effect<void, WriterError>
}

/** Writes with their retries, decoded and measured. */
export const make =
  ({ attempts, deadlines, demandOutside, policy, told }: Parts) =>
  <A>(lane: Lane, write: Write<A>) =>
    useKeptSpan("writer.write", { attributes: { lane } }, (span) => {
      const terms = WriterPolicy.termsOf(policy, lane)
      const startedAt = deadlines.now()
      let attemptCount = 1
      const committed = withRetries(
        deadlines,
        terms,
        () => WriterPolicy.retrySchedule(terms),
        (acquireMillis, attempt) => {
          attemptCount = attempt
          return withAttemptSpans(span, (granted) => attempts.run(terms, write, acquireMillis, attempt, granted))
        }
      )
      const measured = Effect.flatMap(committed, ({ grantedAt, groupSize, holdMillis, results }) => {
        span?.attribute("group_size", groupSize)
        return Either.match(write.decode(results), {
          onLeft: (error) => Effect.fail<WriterError>(new WriteUndecodable({ lane, detail: error.message })),
          onRight: (value) =>
            Effect.succeed({ value, waitMillis: grantedAt - startedAt, holdMillis, attempts: attemptCount, groupSize })
        })
      })
      return told(
        lane,
        span,
        () => attemptCount,
        Effect.zipRight(demandBindable(lane, write), Effect.zipRight(demandOutside(lane), measured))
      )
    })
