/**
 * Deletes an account with all that belongs to it.
 *
 * The first write takes its key away, so that no client can log in to it, and ends its tokens. The rest is deleted in
 * small writes that wait in the maintenance lane. A server that stops in between continues when it starts again.
 */
import { Context, Effect, Layer, Option, Queue, Schedule, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { TokenRevocation } from "../accounts/TokenRevocation.ts"
import { quoted } from "../adoption/SchemaShape.ts"
import type { Dialect } from "../database/Dialect.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { NotFound } from "../Failure.ts"
import { detachedOwner } from "../sessions/SessionRemoval.ts"
import { Runner } from "../replicas/SoleRunner.ts"
import { SessionRegistry } from "../sessions/SessionRegistry.ts"
import type * as AdminProtocol from "./AdminProtocol.ts"

export class AccountRemoval extends Context.Tag("light-server/AccountRemoval")<
  AccountRemoval,
  {
    /** No client can use the account when this returns; its rows are deleted in the background. */
    readonly remove: (id: string) => Effect.Effect<AdminProtocol.AccountRemoved, NotFound | WriterError | ReadFailed>
  }
>() {}

/** The public key of an account that is being deleted: not a key, so no client can log in with it. */
export const deletedKey = (id: string): string => `deleted-account:${id}`

/** Rows of one write. */
const rowsPerWrite = 500

const takeKey = `UPDATE "Account" SET "publicKey" = ? WHERE "id" = ?`

const Counts = Schema.Struct({ sessionCount: Schema.Int, machineCount: Schema.Int })

const selectCounts = `SELECT (SELECT count(*) FROM "Session" WHERE "accountId" = "Account"."id") AS "sessionCount",
  (SELECT count(*) FROM "Machine" WHERE "accountId" = "Account"."id") AS "machineCount"
  FROM "Account" WHERE "id" = ? AND "id" <> ?`

const selectDeleted = `SELECT "id" FROM "Account" WHERE "publicKey" = 'deleted-account:' || "id" LIMIT 100`

const selectSessions = `SELECT "id" FROM "Session" WHERE "accountId" = ? LIMIT 100`

const selectMachines = `SELECT "id" FROM "Machine" WHERE "accountId" = ?`

/**
 * Tables whose rows belong to an account, also those that another server made. The revocation of its tokens goes with
 * the account itself: without it they would be valid until then.
 */
const Owned = Schema.Struct({ table: Schema.String, column: Schema.String })

const selectOwned = ({ foreignKeys }: Dialect) => `SELECT "table", "column" FROM (${foreignKeys}) AS "key"
  WHERE "parent" = 'Account' AND "table" NOT IN ('Session', 'TokenRevocation')
  -- Access keys refer to machines, so machines come last.
  ORDER BY "table" = 'Machine', "table" <> 'AccessKey', "table"`

/** Deletes the rows of accounts whose key was taken away, one account after the other. */
const makeEraser = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* Writer
  const presence = yield* Presence
  const sessions = yield* SessionRegistry
  const dialect = reader.dialect
  const address = dialect.rowAddress

  /** Its rows count for the account, whose totals are locked with them. */
  const write = (sql: string, accountId: string) =>
    writer.write(Lane.maintenance, Write.statement(sql, [accountId]).pipe(Write.withLock(accountId), Write.withReserve))

  const eraseSessions = (accountId: string) =>
    Effect.gen(function* () {
      for (;;) {
        const found = yield* reader.rows(Ids.IdRow, selectSessions, [accountId])
        if (found.length === 0) return
        for (const { id } of found) {
          // One that another request has deleted meanwhile is gone as well.
          yield* Effect.catchTag(sessions.remove(accountId, id), "NotFound", () => Effect.void)
        }
      }
    })

  const eraseRows = (accountId: string, { column, table }: typeof Owned.Type) =>
    Effect.gen(function* () {
      const those = `FROM ${quoted(table)} WHERE ${quoted(column)} = ?`
      const some = `SELECT ${address} ${those} LIMIT ${rowsPerWrite}`
      const batch = `DELETE FROM ${quoted(table)} WHERE ${address} IN (${some})`
      for (;;) {
        const found = yield* reader.first(Schema.Unknown, `SELECT 1 ${those} LIMIT 1`, [accountId])
        if (Option.isNone(found)) return
        yield* write(batch, accountId)
      }
    })

  const erase = (accountId: string) =>
    Effect.gen(function* () {
      yield* eraseSessions(accountId)
      for (const { id } of yield* reader.rows(Ids.IdRow, selectMachines, [accountId])) {
        presence.forget(PresenceKey.machine(accountId, id))
      }
      for (const owned of yield* reader.rows(Owned, selectOwned(dialect))) yield* eraseRows(accountId, owned)
      yield* write(`DELETE FROM "Account" WHERE "id" = ?`, accountId)
      yield* Effect.logInfo("An account was deleted").pipe(Effect.annotateLogs({ code: "ACCOUNT_DELETED", accountId }))
    })

  return Effect.gen(function* () {
    for (const { id } of yield* reader.rows(Ids.IdRow, selectDeleted)) yield* erase(id)
  })
})

const make = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* Writer
  const revocation = yield* TokenRevocation
  const eraser = yield* makeEraser
  const runner = yield* Runner
  const wanted = yield* Queue.sliding<void>(1)

  /** What cannot be deleted now, such as with a full disk or while another replica does it, is tried again. */
  const sweep = runner.attempt("remove-accounts", eraser).pipe(
    Effect.tapErrorCause((cause) =>
      Effect.logWarning("An account could not be deleted yet", cause).pipe(
        Effect.annotateLogs("code", "ACCOUNT_NOT_DELETED")
      )
    ),
    Effect.retry(Schedule.spaced("1 minute")),
    Effect.repeat({ schedule: Schedule.spaced("1 minute"), until: Option.isSome })
  )
  yield* Queue.offer(wanted, undefined)
  yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Queue.take(wanted), sweep)))

  return AccountRemoval.of({
    remove: (id) =>
      Effect.gen(function* () {
        const counts = yield* reader.first(Counts, selectCounts, [id, detachedOwner])
        if (Option.isNone(counts)) return yield* new NotFound({ what: "Account" })
        yield* Effect.uninterruptible(
          Effect.zipRight(
            writer.write(Lane.control, Write.withReserve(Write.statement(takeKey, [deletedKey(id), id]))),
            Effect.zipRight(revocation.revoke(id), Queue.offer(wanted, undefined))
          )
        )
        return { id, ...counts.value }
      })
  })
})

export const layer: Layer.Layer<
  AccountRemoval,
  never,
  DatabaseReader | Writer | Presence | SessionRegistry | TokenRevocation
> = Layer.scoped(AccountRemoval, make)
