/**
 * How a session is deleted with all that belongs to it.
 *
 * A short one goes in one write. A long one would keep everybody waiting, so it
 * is taken from its account first, in one write as well, and from then on nobody
 * finds it. What is left of it goes in pieces, each of them short; a server that
 * ends in between goes on with them when it starts again.
 */
import { Effect, Option, Queue, Schedule, Schema, type Scope } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import { quoted } from "../adoption/SchemaShape.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"

/**
 * The account that owns what is left of sessions. Nobody can log in to it: its
 * key is none.
 */
export const nobody = "removed-sessions"

/** More are deleted in several writes, so that nobody waits for one long one. */
const messagesPerWrite = 1000

const ownSession = `SELECT "id" FROM "Session" WHERE "id" = ? AND "accountId" = ?`

const hasMoreMessages = `SELECT 1 AS "more" FROM "SessionMessage" WHERE "sessionId" IN (${ownSession})
  LIMIT 1 OFFSET ${messagesPerWrite}`

const selectLeft = `SELECT "id" FROM "Session" WHERE "accountId" = ? LIMIT 1`

const removeOldestMessages = `DELETE FROM "SessionMessage" WHERE "id" IN (
    SELECT "id" FROM "SessionMessage" WHERE "sessionId" IN (${ownSession}) ORDER BY "seq" LIMIT ${messagesPerWrite}
  )`

const insertNobody = `INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES (?, ?, ?, ?)
  ON CONFLICT DO NOTHING`

/** The tag is free at once for a session that is opened anew. */
const takeAway = `UPDATE "Session" SET "accountId" = ?, "tag" = "id", "active" = 0 WHERE "id" = ? AND "accountId" = ?`

/**
 * Rows of a session in a table that this server does not know: those of other
 * servers of the file, which would keep the session from being deleted.
 */
const Belonging = Schema.Struct({ table: Schema.String, column: Schema.String })

const selectBelongings = `SELECT t."name" AS "table", f."from" AS "column"
  FROM sqlite_schema AS t, pragma_foreign_key_list(t."name") AS f
  WHERE t."type" = 'table' AND f."table" = 'Session' AND f."on_delete" IN ('RESTRICT', 'NO ACTION')
    AND t."name" <> 'SessionMessage'`

const reports = { table: "UsageReport", column: "sessionId" }

const messages = { table: "SessionMessage", column: "sessionId" }

const emptied = (accountId: string, id: string, tables: ReadonlyArray<typeof Belonging.Type>) =>
  Write.all(
    tables.map(({ table, column }) =>
      Write.statement(`DELETE FROM ${quoted(table)} WHERE ${quoted(column)} IN (${ownSession})`, [id, accountId])
    )
  )

/** A session, the reports about it, its messages, and what else belongs to it. */
const removed = (accountId: string, id: string, belongings: ReadonlyArray<typeof Belonging.Type>) =>
  emptied(accountId, id, [reports, messages, ...belongings]).pipe(
    Write.zip(
      Write.statement(`DELETE FROM "Session" WHERE "id" = ? AND "accountId" = ?`, [id, accountId], { changes: 1 })
    )
  )

/** The account hears that a session is gone. Its line in the feed stays for whoever was away. */
const announced = (accountId: string, id: string, changedAt: number | string) =>
  AccountCursor.numbered({ accountId, change: { kind: "session", id, isGone: true }, changedAt })

/** The write that deletes a short session. */
export const removeWrite = (
  accountId: string,
  id: string,
  belongings: ReadonlyArray<typeof Belonging.Type>,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  removed(accountId, id, belongings).pipe(
    announced(accountId, id, encode(nowMillis)),
    Write.map(([cursor]) => cursor)
  )

/** The write that takes a long session from its account. */
export const takeAwayWrite = (
  accountId: string,
  id: string,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> => {
  const now = encode(nowMillis)
  return emptied(accountId, id, [reports]).pipe(
    Write.zip(Write.statement(insertNobody, [nobody, nobody, now, now])),
    Write.zip(Write.statement(takeAway, [nobody, id, accountId], { changes: 1 })),
    announced(accountId, id, now),
    Write.map(([cursor]) => cursor)
  )
}

export interface SessionRemoval {
  /**
   * Deletes a session for everybody who looks. Returns the cursor of the change. A
   * later statement than the first conflicts when it is missing or foreign.
   */
  readonly remove: (accountId: string, id: string) => Effect.Effect<number, WriterError | ReadFailed>
}

/** Removes what is left of long sessions for as long as the scope is open. */
export const make: Effect.Effect<SessionRemoval, never, DatabaseReader | SqliteWriter | Scope.Scope> = Effect.gen(
  function* () {
    const reader = yield* DatabaseReader
    const writer = yield* SqliteWriter
    const form = yield* TimeForm.TimeForm
    /** One word is enough: whoever hears it looks for everything there is. */
    const words = yield* Queue.sliding<void>(1)

    const isLong = (accountId: string, id: string) =>
      Effect.map(reader.first(Schema.Unknown, hasMoreMessages, [id, accountId]), Option.isSome)

    const belongings = reader.rows(Belonging, selectBelongings)

    const left = Effect.map(
      reader.first(Schema.Struct({ id: Schema.String }), selectLeft, [nobody]),
      Option.map(({ id }) => id)
    )

    /** Says whether there was one. */
    const removePiece = Effect.gen(function* () {
      const id = yield* left
      if (Option.isNone(id)) return false
      yield* (yield* isLong(nobody, id.value))
        ? writer.write(Lane.maintenance, Write.statement(removeOldestMessages, [id.value, nobody]))
        : writer.write(Lane.maintenance, removed(nobody, id.value, yield* belongings))
      return true
    })

    yield* Queue.take(words).pipe(
      Effect.zipRight(
        Effect.repeat(removePiece, { while: (wasLeft) => wasLeft }).pipe(
          Effect.tapError((failure) =>
            Effect.logWarning("What is left of a deleted session was not removed, and will be", failure).pipe(
              Effect.annotateLogs("code", "SESSION_NOT_REMOVED")
            )
          ),
          Effect.retry(Schedule.spaced("1 minute"))
        )
      ),
      Effect.forever,
      Effect.forkScoped
    )
    // What a server left that ended in between. Who cannot look now, looks in a moment.
    if (yield* Effect.orElseSucceed(Effect.map(left, Option.isSome), () => true)) yield* Queue.offer(words, undefined)

    return {
      remove: (accountId, id) =>
        Effect.gen(function* () {
          if (yield* isLong(accountId, id)) {
            // A write that is not confirmed may have left something as well.
            return yield* Effect.ensuring(
              writer.write(Lane.control, takeAwayWrite(accountId, id, Date.now(), form)),
              Queue.offer(words, undefined)
            )
          }
          return yield* writer.write(Lane.control, removeWrite(accountId, id, yield* belongings, Date.now(), form))
        })
    }
  }
)
