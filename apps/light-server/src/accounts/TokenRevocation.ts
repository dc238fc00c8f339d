/**
 * The end of all tokens of an account.
 *
 * Each account has an epoch, and each token carries the one it was made in. A
 * revocation begins a new epoch, and tokens of earlier ones are refused.
 */
import { Clock, Context, Duration, Effect, Layer, Schedule, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import * as LruCache from "../LruCache.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as TimeForm from "../database/TimeForm.ts"
import { invalidSocketToken, NotFound } from "../Failure.ts"
import { Replicas } from "../replicas/ReplicaBus.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import { Tokens } from "./Tokens.ts"

export class TokenRevocation extends Context.Tag("light-server/TokenRevocation")<
  TokenRevocation,
  {
    /** Ends every token of the account, and every connection made with one. */
    readonly revoke: (accountId: string) => Effect.Effect<void, NotFound | WriterError>
  }
>() {}

export interface Options {
  /** Time between two checks for revocations by other processes. */
  readonly watchInterval?: Duration.DurationInput
}

// The number contains the second, so that a database restored from a backup never issues an epoch twice.
const begin = `INSERT INTO "TokenRevocation" ("accountId", "epoch", "revokedAt")
  SELECT "id", ?, ? FROM "Account" WHERE "id" = ?
  ON CONFLICT ("accountId") DO UPDATE SET
    "epoch" = CASE WHEN "TokenRevocation"."epoch" < excluded."epoch" THEN excluded."epoch"
      ELSE "TokenRevocation"."epoch" + 1 END,
    "revokedAt" = excluded."revokedAt"
  RETURNING "epoch"`

/**
 * Answers to pairing requests are deleted, because the client that fetches one receives a token. Tokens that were
 * revoked one by one need no row any more: their epoch is refused.
 */
const endRest = [
  ...["TerminalAuthRequest", "AccountAuthRequest"].map(
    (table) => `DELETE FROM "${table}" WHERE "responseAccountId" = ?`
  ),
  `DELETE FROM "PresenceTokenRevocation" WHERE "accountId" = ?`
]

const Begun = Schema.Struct({ epoch: Schema.Int })

/**
 * The write of a revocation: the epoch that begins. Conflicts when the account
 * does not exist.
 */
export const revokeWrite = (
  accountId: string,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  Write.statement(begin, [Math.max(1, Math.floor(nowMillis / 1000)), encode(nowMillis), accountId], {
    changes: 1
  }).pipe(
    Write.decodeRows(Begun),
    Write.zip(Write.all(endRest.map((sql) => Write.statement(sql, [accountId])))),
    Write.map(([[row]]) => row?.epoch ?? 0),
    Write.withLock(accountId),
    Write.withReserve
  )

/**
 * Ends every token of an account in the database, and answers with the epoch
 * that begins. For programs beside the server: a server that runs on the same
 * file notices within seconds.
 *
 * **Errors**: `NotFound` when there is no such account.
 */
export const revokeTokens = (accountId: string): Effect.Effect<number, NotFound | WriterError, Writer> =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const form = yield* TimeForm.TimeForm
    return yield* writer.write(Lane.control, revokeWrite(accountId, yield* Clock.currentTimeMillis, form))
  }).pipe(Effect.catchTag("WriteConflict", () => Effect.fail(new NotFound({ what: "Account" }))))

const Revoked = Schema.Struct({ accountId: Schema.String, epoch: Schema.Int })

/** One row per account that ever revoked its tokens: a short table, read as a whole, and limited all the same. */
const selectRecent = `SELECT "accountId", "epoch" FROM "TokenRevocation" WHERE "revokedAt" > ?
  ORDER BY "revokedAt" DESC LIMIT 1000`

const topic = "revocation"

/** Longer than any clock adjustment backwards. */
const recentMillis = Duration.toMillis("1 day")

/** More than one check returns. */
const knownMax = 10_000

export const make = (options: Options = {}) =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const reader = yield* DatabaseReader
    const tokens = yield* Tokens
    const replicas = yield* Replicas
    const { disconnects } = yield* SocketServer
    const form = yield* TimeForm.TimeForm
    const known = LruCache.make<number>(knownMax)

    const recent = Effect.flatMap(Clock.currentTimeMillis, (now) =>
      reader.rows(Revoked, selectRecent, [form.encode(now - recentMillis)])
    )

    /** It is not known here which sockets are older than the revocation: all must show their token again. */
    const look: Effect.Effect<void, ReadFailed> = Effect.map(recent, (rows) => {
      for (const { accountId, epoch } of rows) {
        if ((known.get(accountId) ?? -1) >= epoch) continue
        known.set(accountId, epoch)
        tokens.forget(accountId)
        disconnects.here.recall(accountId)
      }
    })
    const note = ({ accountId, epoch }: typeof Revoked.Type) => {
      if ((known.get(accountId) ?? -1) < epoch) known.set(accountId, epoch)
    }
    yield* replicas.listen(topic, (revoked) => note(revoked as typeof Revoked.Type))

    const watch = look.pipe(
      Effect.catchAll((failure) =>
        Effect.logWarning("Revocations could not be looked for", failure).pipe(
          Effect.annotateLogs("code", failure._tag)
        )
      )
    )
    // Revocations that exist before the first socket concern none of the sockets.
    yield* watch
    yield* Effect.forkScoped(Effect.schedule(watch, Schedule.spaced(options.watchInterval ?? "5 seconds")))

    return TokenRevocation.of({
      revoke: (accountId) =>
        revokeTokens(accountId).pipe(
          Effect.provideService(Writer, writer),
          Effect.provideService(TimeForm.TimeForm, form),
          // If the caller disconnects in between, the next check does the same.
          Effect.tap((epoch) =>
            Effect.sync(() => {
              note({ accountId, epoch })
              // Other replicas disconnect the sockets now, and not once more when they find the row.
              replicas.send(topic, { accountId, epoch })
              tokens.forget(accountId)
              disconnects.disconnect(accountId, invalidSocketToken)
            })
          ),
          Effect.asVoid
        )
    })
  })

export const layer = (
  options: Options = {}
): Layer.Layer<TokenRevocation, never, Writer | DatabaseReader | Tokens | SocketServer> =>
  Layer.scoped(TokenRevocation, make(options))
