/** When accounts are counted anew: one after the other, once after the start, and whenever something asks for it. */
import { Clock, Effect, type Scope } from "effect"
import { Writer } from "presence-effect/writer/Writer"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as LruCache from "../LruCache.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import * as Recount from "./Recount.ts"

export interface Recounts {
  /** Counts the account in the background, unless that was done since the start or failed less than a minute ago. */
  readonly later: (accountId: string) => Effect.Effect<void>
  /** The same, and waits for the end, also of a count that is under way. False when there was nothing to count. */
  readonly now: (accountId: string) => Effect.Effect<boolean>
  /** Counts the account in the background in any case. */
  readonly anew: (accountId: string) => Effect.Effect<void>
}

/** Accounts that are remembered as counted. Any other one is counted once more. */
const countedMax = 100_000

/** After a count that failed the next one waits so long. */
const retryMillis = 60_000

/** How long a refused write waits for a count that may permit it. */
const patience = "4 seconds"

/** What is known of the counts of each account. */
const makeLedger = () => {
  const counted = LruCache.make<true>(countedMax)
  const failedAt = LruCache.make<number>(countedMax)
  /** Accounts whose count is due and has not begun. */
  const waiting = new Set<string>()
  let running: string | undefined
  return {
    waiting,
    isRunning: (accountId: string) => running === accountId,
    isDue: (accountId: string, nowMillis: number) =>
      !counted.has(accountId) && nowMillis - (failedAt.get(accountId) ?? -retryMillis) >= retryMillis,
    /** False when the account is counted already. What changes from here on needs another count. */
    begin: (accountId: string) => {
      waiting.delete(accountId)
      if (counted.has(accountId)) return false
      counted.set(accountId, true)
      running = accountId
      return true
    },
    end: () => void (running = undefined),
    fail: (accountId: string, nowMillis: number) => {
      counted.delete(accountId)
      failedAt.set(accountId, nowMillis)
    },
    forget: (accountId: string) => {
      counted.delete(accountId)
      failedAt.delete(accountId)
    }
  }
}

/** Counts with `recount`. Background counts end with the scope. */
export const fromRecount = (
  recount: (accountId: string) => Effect.Effect<void, ReadFailure | WriterError>
): Effect.Effect<Recounts, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const turn = yield* Effect.makeSemaphore(1)
    const ledger = makeLedger()

    const failed = (accountId: string) => Effect.map(Clock.currentTimeMillis, (now) => ledger.fail(accountId, now))

    /** Never fails. */
    const count = (accountId: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        // The one that had the turn before may have counted the account.
        if (!ledger.begin(accountId)) return Effect.void
        return recount(accountId).pipe(
          Effect.catchAll((failure) =>
            Effect.zipRight(
              failed(accountId),
              Effect.annotateLogs(Effect.logWarning("What an account stores could not be counted yet", failure), {
                code: "QUOTA_NOT_COUNTED",
                accountId
              })
            )
          ),
          Effect.onInterrupt(() => failed(accountId)),
          Effect.ensuring(Effect.sync(ledger.end))
        )
      }).pipe(turn.withPermits(1))

    const fork = (accountId: string) =>
      Effect.suspend(() => {
        if (ledger.waiting.has(accountId)) return Effect.void
        ledger.waiting.add(accountId)
        return Effect.asVoid(Effect.forkIn(count(accountId), scope))
      })

    const isDue = (accountId: string) => Effect.map(Clock.currentTimeMillis, (now) => ledger.isDue(accountId, now))

    return {
      later: (accountId) => Effect.flatMap(isDue(accountId), (due) => (due ? fork(accountId) : Effect.void)),
      now: (accountId) =>
        Effect.flatMap(isDue(accountId), (due) =>
          due || ledger.isRunning(accountId)
            ? Effect.as(Effect.timeoutOption(Effect.disconnect(count(accountId)), patience), true)
            : Effect.succeed(false)
        ),
      anew: (accountId) =>
        Effect.suspend(() => {
          ledger.forget(accountId)
          return fork(accountId)
        })
    }
  })

/** `onCounted` is called with each account whose totals were brought in line with its rows. */
export const make = (
  onCounted: (accountId: string) => void
): Effect.Effect<Recounts, never, Writer | DatabaseReader | Scope.Scope> =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* Writer
    return yield* fromRecount((accountId) =>
      Effect.tap(Recount.run(reader, writer, accountId), () => Effect.sync(() => onCounted(accountId)))
    )
  })
