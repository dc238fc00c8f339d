/**
 * The number of an account's newest change.
 *
 * @since 0.1.0
 */
import { Effect, Schema } from "effect"
import * as Write from "presence-effect/Write"
import type { WriteConflict } from "presence-effect/WriterError"
import { Unauthorized } from "../http/Failure.ts"

/**
 * Raises the cursor of an account and returns it. Part of the write whose
 * change it numbers. Put it first: `WriteConflict` of statement 0 then says that the
 * account does not exist.
 *
 * @category constructors
 * @since 0.1.0
 */
export const raise = (accountId: string): Write.Write<number> =>
  Write.statement(`UPDATE "Account" SET "seq" = "seq" + 1 WHERE "id" = ? RETURNING "seq"`, [accountId], {
    changes: 1
  }).pipe(
    Write.decodeRows(Schema.Struct({ seq: Schema.Int })),
    Write.map(([row]) => row?.seq ?? 0)
  )

/**
 * Tells the two conflicts of a write that begins with `raise` apart: fails with
 * `Unauthorized` when the token outlived its account, and succeeds when a row was
 * not as expected.
 *
 * @category combinators
 * @since 0.1.0
 */
export const requireAccount = (conflict: WriteConflict): Effect.Effect<void, Unauthorized> =>
  conflict.statement === 0 ? Effect.fail(new Unauthorized({ error: "Invalid token" })) : Effect.void
