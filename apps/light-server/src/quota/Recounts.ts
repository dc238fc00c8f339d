/** When accounts are counted anew: one after the other, once after the start and whenever something asks for it. */
import { Clock, Effect, type Scope } from "effect"
import { LRUCache } from "lru-cache"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import * as Recount from "./Recount.ts"

export interface Recounts {
  /** Counts the account in the background, unless that was done since the start or failed just now. */
  readonly later: (accountId: string) => Effect.Effect<void>
  /** The same, and waits for the end, also of a count that is under way. False when there was nothing to count. */
  readonly now: (accountId: string) => Effect.Effect<boolean>
  /** Counts the account in the background in any case. */
  readonly anew: (accountId: string) => Effect.Effect<void>
}

/** Accounts of which is remembered that they were counted. Any other one is counted once more. */
const countedMax = 100_000

/** After a count that failed the next one waits so long. */
const retryMillis = 60_000

/** How long a refused write waits for a count that may permit it. */
const patience = "4 seconds"

export const make: Effect.Effect<Recounts, never, SqliteWriter | DatabaseReader | Scope.Scope> = Effect.gen(
  function* () {
    const reader = yield* DatabaseReader
    const writer = yield* SqliteWriter
    const scope = yield* Effect.scope
    const turn = yield* Effect.makeSemaphore(1)
    const counted = new LRUCache<string, true>({ max: countedMax })
    const failedAt = new LRUCache<string, number>({ max: countedMax })
    /** Accounts whose count is due and has not begun. */
    const waiting = new Set<string>()
    /** The account that is counted now. */
    let running: string | undefined

    const failed = (accountId: string) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        counted.delete(accountId)
        failedAt.set(accountId, now)
      })

    /** The one that had the turn before may have counted the account. */
    const count = (accountId: string): Effect.Effect<void> =>
      Effect.suspend(() => {
        // What changes from here on needs another count.
        waiting.delete(accountId)
        if (counted.has(accountId)) return Effect.void
        counted.set(accountId, true)
        running = accountId
        return Recount.run(reader, writer, accountId).pipe(
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
          Effect.ensuring(Effect.sync(() => (running = undefined)))
        )
      }).pipe(turn.withPermits(1))

    const isDue = (accountId: string) =>
      Effect.map(
        Clock.currentTimeMillis,
        (now) => !counted.has(accountId) && now - (failedAt.get(accountId) ?? -retryMillis) >= retryMillis
      )

    const fork = (accountId: string) =>
      Effect.suspend(() => {
        if (waiting.has(accountId)) return Effect.void
        waiting.add(accountId)
        return Effect.asVoid(Effect.forkIn(count(accountId), scope))
      })

    return {
      later: (accountId) => Effect.if(isDue(accountId), { onTrue: () => fork(accountId), onFalse: () => Effect.void }),
      now: (accountId) =>
        Effect.if(
          Effect.map(isDue(accountId), (due) => due || running === accountId),
          {
            onTrue: () => Effect.as(Effect.timeoutOption(Effect.disconnect(count(accountId)), patience), true),
            onFalse: () => Effect.succeed(false)
          }
        ),
      anew: (accountId) =>
        Effect.suspend(() => {
          counted.delete(accountId)
          failedAt.delete(accountId)
          return fork(accountId)
        })
    }
  }
)
