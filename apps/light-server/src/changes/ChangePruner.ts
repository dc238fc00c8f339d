/**
 * Removes old lines of the feed.
 *
 * Lines are removed in the order of their cursors, oldest first, and the floor
 * of the account rises to the last removed one, in the same commit. A client
 * that reads from the floor on has seen all of them; one that is further back
 * gets `CursorGone` and starts over. That holds for lines of deleted entities
 * as well.
 */
import { Clock, Context, Duration, Effect, Layer, Schedule, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { defaultsOf, type Values } from "../ConfigKnob.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { StoredTime } from "../database/StoredTime.ts"
import { Runner } from "../replicas/SoleRunner.ts"
import { knobs } from "./ChangeKnobs.ts"
import { countPruned } from "./ChangeMetrics.ts"

export interface Options extends Values<typeof knobs> {
  /** Lines of one account that are kept. Zero: no limit. */
  readonly linesPerAccount: number
  /** Time from the end of one round over all accounts to the start of the next. */
  readonly interval: Duration.DurationInput
  /** Lines that one commit removes at most. */
  readonly linesPerWrite: number
  /** Time between two commits, and between two pages of accounts. */
  readonly pause: Duration.DurationInput
}

/**
 * A device that was away for a quarter starts over; one account keeps no more
 * lines than a client reads in a few seconds.
 */
export const defaults: Options = {
  ...defaultsOf(knobs),
  linesPerAccount: 10_000,
  interval: "1 hour",
  linesPerWrite: 250,
  pause: "100 millis"
}

export class ChangePruner extends Context.Tag("light-server/ChangePruner")<
  ChangePruner,
  {
    /** One round over all accounts. The fiber does this every `interval`. Never fails: the next round continues. */
    readonly round: Effect.Effect<void>
  }
>() {}

/** Accounts that are checked before the pause. */
const pageSize = 100

const selectAccounts = `SELECT "id" FROM "Account" WHERE "id" > ? ORDER BY "id" LIMIT ${pageSize}`

const selectOldest = `SELECT "cursor", "changedAt" FROM "AccountChange" WHERE "accountId" = ?
  ORDER BY "cursor" LIMIT ?`

/** The newest line beyond the limit. */
const selectSurplus = `SELECT "cursor" FROM "AccountChange" WHERE "accountId" = ?
  ORDER BY "cursor" DESC LIMIT 1 OFFSET ?`

const raiseFloor = `UPDATE "Account" SET "changesFloor" = CASE WHEN "changesFloor" < ? THEN ? ELSE "changesFloor" END
  WHERE "id" = ?`

const removeBelow = `DELETE FROM "AccountChange" WHERE "accountId" = ? AND "cursor" <= ? RETURNING "cursor"`

/** The statements that a round runs, for tests of their plans. */
export const statements: ReadonlyArray<string> = [selectAccounts, selectOldest, selectSurplus, raiseFloor, removeBelow]

/**
 * A time that cannot be read counts as old: such a line must not keep later ones, or other accounts, from being pruned.
 */
const Line = Schema.Struct({
  cursor: Schema.Int,
  changedAt: StoredTime.annotations({ decodingFallback: () => Effect.succeed(0) })
})

const Place = Schema.Struct({ cursor: Schema.Int })

/**
 * The write that removes all lines of an account up to `floor`, and their
 * number. Conflicts when the account does not exist.
 */
export const pruneWrite = (accountId: string, floor: number): Write.Write<number> =>
  Write.statement(raiseFloor, [floor, floor, accountId], { changes: 1 }).pipe(
    Write.andThen(Write.decodeRows(Write.statement(removeBelow, [accountId, floor]), Place)),
    Write.map((removed) => removed.length),
    Write.withLock(accountId),
    Write.withReserve
  )

export const make = (
  options: Options = defaults
): Effect.Effect<ChangePruner["Type"], never, DatabaseReader | Writer> =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* Writer
    const retentionMillis = Duration.toMillis(options.retention)
    /** The last account that this round has finished. A round that failed continues from here. */
    let done = ""

    const surplusOf = (accountId: string) =>
      options.linesPerAccount === 0
        ? Effect.succeed(0)
        : Effect.map(reader.rows(Place, selectSurplus, [accountId, options.linesPerAccount]), ([line]) =>
            line === undefined ? 0 : line.cursor
          )

    /** The oldest lines that are to be removed: the first line that stays also keeps all later ones. */
    const goingOf = (accountId: string, surplus: number, limit: number) =>
      Effect.gen(function* () {
        const oldest = yield* reader.rows(Line, selectOldest, [accountId, limit])
        const endedAt = retentionMillis === 0 ? 0 : (yield* Clock.currentTimeMillis) - retentionMillis
        const first = oldest.findIndex(({ changedAt, cursor }) => cursor > surplus && changedAt >= endedAt)
        return first < 0 ? oldest : oldest.slice(0, first)
      })

    const pruneAccount = (accountId: string) =>
      Effect.gen(function* () {
        const surplus = yield* surplusOf(accountId)
        // Most accounts have nothing to remove, and reading one line is enough to know it.
        let isMore = (yield* goingOf(accountId, surplus, 1)).length > 0
        while (isMore) {
          const going = yield* goingOf(accountId, surplus, options.linesPerWrite)
          const last = going.at(-1)
          if (last === undefined) return
          // Lines only ever move up, so no more than these are below the floor when its turn comes.
          countPruned(yield* writer.write(Lane.maintenance, pruneWrite(accountId, last.cursor)))
          isMore = going.length === options.linesPerWrite
          yield* Effect.sleep(options.pause)
        }
      }).pipe(
        // Deleted since it was looked up.
        Effect.catchTag("WriteConflict", () => Effect.void)
      )

    const page = Effect.gen(function* () {
      const accounts = yield* reader.rows(Ids.IdRow, selectAccounts, [done])
      for (const { id } of accounts) {
        yield* pruneAccount(id)
        done = id
      }
      if (accounts.length < pageSize) done = ""
      else yield* Effect.sleep(options.pause)
      return done === ""
    })

    return ChangePruner.of({
      round: page.pipe(
        Effect.repeat({ until: (isOver) => isOver }),
        Effect.catchAllCause((cause) =>
          Effect.logWarning("Old changes were not removed", cause).pipe(
            Effect.annotateLogs("code", "CHANGES_NOT_PRUNED")
          )
        ),
        Effect.asVoid
      )
    })
  })

/**
 * Prunes until its scope closes, unless all lines may stay. The first round
 * waits for its interval: right after a start all clients reconnect.
 */
export const layer = (options: Options = defaults): Layer.Layer<ChangePruner, never, DatabaseReader | Writer> =>
  Layer.scoped(
    ChangePruner,
    Effect.gen(function* () {
      const pruner = yield* make(options)
      const isWanted = Duration.toMillis(options.retention) > 0 || options.linesPerAccount > 0
      const runner = yield* Runner
      const round = runner.attempt("prune-changes", pruner.round)
      if (isWanted) yield* Effect.forkScoped(Effect.schedule(round, Schedule.spaced(options.interval)))
      return pruner
    })
  )
