/**
 * Deletes a session with all that belongs to it.
 *
 * A short session is deleted in one write. A long one would hold the writer too
 * long, so one write detaches it from its account, after which no read finds it.
 * Its rows are then deleted in batches, each of them short. A server that stops in
 * between continues when it starts again.
 */
import { Effect, Option, Queue, Schedule, Schema, type Scope } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { Dialect } from "../database/Dialect.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { quoted } from "../adoption/SchemaShape.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import { Quota } from "../quota/Quota.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** The account that owns detached sessions. Its public key is not a key, so no client can log in to it. */
export const detachedOwner = "removed-sessions"

/** A session with more messages is deleted in several writes. */
const messagesPerWrite = 1000

const ownSession = `SELECT "id" FROM "Session" WHERE "id" = ? AND "accountId" = ?`

const hasMoreMessages = `SELECT 1 AS "more" FROM "SessionMessage" WHERE "sessionId" IN (${ownSession})
  LIMIT 1 OFFSET ${messagesPerWrite}`

const selectDetached = `SELECT "id" FROM "Session" WHERE "accountId" = ? LIMIT 1`

const removeOldestMessages = `DELETE FROM "SessionMessage" WHERE "id" IN (
    SELECT "id" FROM "SessionMessage" WHERE "sessionId" IN (${ownSession}) ORDER BY "seq" LIMIT ${messagesPerWrite}
  )`

const insertDetachedOwner = `INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)
  ON CONFLICT DO NOTHING`

/** The tag can be used by another session at once. */
const detach = `UPDATE "Session" SET "accountId" = ?, "tag" = "id", "active" = FALSE WHERE "id" = ? AND "accountId" = ?`

/**
 * A table of another server of the file whose rows refer to a session. They would
 * prevent the deletion of the session.
 */
const Referrer = Schema.Struct({ table: Schema.String, column: Schema.String })

const selectReferrers = ({ foreignKeys }: Dialect) => `SELECT "table", "column" FROM (${foreignKeys}) AS "key"
  WHERE "parent" = 'Session' AND "onDelete" IN ('RESTRICT', 'NO ACTION') AND "table" <> 'SessionMessage'`

const reports = { table: "UsageReport", column: "sessionId" }

const messages = { table: "SessionMessage", column: "sessionId" }

const deletedRows = (accountId: string, id: string, tables: ReadonlyArray<typeof Referrer.Type>) =>
  Write.all(
    tables.map(({ table, column }) =>
      Write.statement(`DELETE FROM ${quoted(table)} WHERE ${quoted(column)} IN (${ownSession})`, [id, accountId])
    )
  )

/** Deletes a session with its reports, its messages, and the rows of other tables that refer to it. */
const deletedSession = (accountId: string, id: string, referrers: ReadonlyArray<typeof Referrer.Type>) =>
  deletedRows(accountId, id, [reports, messages, ...referrers]).pipe(
    Write.zip(
      Write.statement(`DELETE FROM "Session" WHERE "id" = ? AND "accountId" = ?`, [id, accountId], { changes: 1 })
    )
  )

/** Numbers the deletion. Its row in the feed stays, so that devices that were offline find it. */
const numbered = (accountId: string, id: string, changedAt: number | string) =>
  AccountCursor.numbered({ accountId, change: { kind: "session", id, isGone: true }, changedAt })

/** The write that deletes a short session. */
export const removeWrite = (
  accountId: string,
  id: string,
  referrers: ReadonlyArray<typeof Referrer.Type>,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  deletedSession(accountId, id, referrers).pipe(
    numbered(accountId, id, encode(nowMillis)),
    Write.map(([cursor]) => cursor),
    Write.withReserve
  )

/** The write that detaches a long session from its account. */
export const detachWrite = (
  accountId: string,
  id: string,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> => {
  const now = encode(nowMillis)
  return deletedRows(accountId, id, [reports]).pipe(
    Write.zip(Write.statement(insertDetachedOwner, [detachedOwner, detachedOwner, now, now])),
    Write.zip(Write.statement(detach, [detachedOwner, id, accountId], { changes: 1 })),
    numbered(accountId, id, now),
    Write.map(([cursor]) => cursor),
    Write.withReserve
  )
}

export interface SessionRemoval {
  /**
   * Deletes a session: no read finds it afterwards. Returns the cursor of the
   * change. A later statement than the first conflicts when it is missing or
   * foreign.
   */
  readonly remove: (accountId: string, id: string) => Effect.Effect<number, WriteFailure | ReadFailed>
}

/** Deletes the rows of detached sessions for as long as the scope is open. */
export const make: Effect.Effect<SessionRemoval, never, DatabaseReader | Writer | Scope.Scope> = Effect.gen(
  function* () {
    const reader = yield* DatabaseReader
    const writer = yield* AccountWriter.make
    const form = yield* TimeForm.TimeForm
    const quota = yield* Quota
    /** One pending wake-up is enough: each run deletes everything that is pending. */
    const wakeUps = yield* Queue.sliding<void>(1)

    const isLong = (accountId: string, id: string) =>
      Effect.map(reader.first(Schema.Unknown, hasMoreMessages, [id, accountId]), Option.isSome)

    const referrers = reader.rows(Referrer, selectReferrers(reader.dialect))

    const detached = Effect.map(
      reader.first(Ids.IdRow, selectDetached, [detachedOwner]),
      Option.map(({ id }) => id)
    )

    /** True while there was something to delete. */
    const removeBatch = Effect.gen(function* () {
      const id = yield* detached
      if (Option.isNone(id)) return false
      const write: Write.Write<unknown> = (yield* isLong(detachedOwner, id.value))
        ? Write.statement(removeOldestMessages, [id.value, detachedOwner])
        : deletedSession(detachedOwner, id.value, yield* referrers)
      yield* writer.write(detachedOwner, Lane.maintenance, Write.withReserve(write))
      return true
    })

    yield* Queue.take(wakeUps).pipe(
      Effect.zipRight(
        Effect.repeat(removeBatch, { while: (found) => found }).pipe(
          Effect.tapError((failure) =>
            Effect.logWarning("Rows of a deleted session could not be deleted yet", failure).pipe(
              Effect.annotateLogs("code", "SESSION_NOT_REMOVED")
            )
          ),
          Effect.retry(Schedule.spaced("1 minute"))
        )
      ),
      Effect.forever,
      Effect.forkScoped
    )
    // A server that stopped in between may have left detached sessions. A read that fails is repeated by the loop.
    if (yield* Effect.orElseSucceed(Effect.map(detached, Option.isSome), () => true))
      yield* Queue.offer(wakeUps, undefined)

    return {
      remove: (accountId, id) =>
        Effect.gen(function* () {
          if (yield* isLong(accountId, id)) {
            // An unconfirmed write may have detached it as well.
            return yield* Effect.ensuring(
              writer.write(accountId, Lane.control, detachWrite(accountId, id, Date.now(), form)),
              // Its messages are no longer the account's, and which bytes they are only a count can tell.
              Effect.zipRight(Queue.offer(wakeUps, undefined), quota.recount(accountId))
            )
          }
          return yield* writer.write(
            accountId,
            Lane.control,
            removeWrite(accountId, id, yield* referrers, Date.now(), form)
          )
        })
    }
  }
)
