/**
 * Writes on behalf of an account, within its quota.
 *
 * Every one of them changes the totals of its account. Where several run at once, they take turns from their first
 * statement on, as those that number a change do: two that lock a row of their own first would wait for each other.
 */
import { Effect } from "effect"
import type { Lane } from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { WriteConflict, type WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { QuotaExceeded } from "../Failure.ts"
import { Quota } from "./Quota.ts"

/** Why a write of an account was not done. */
export type WriteFailure = WriterError | QuotaExceeded

export interface AccountWriter {
  readonly write: <A>(accountId: string, lane: Lane, write: Write.Write<A>) => Effect.Effect<A, WriteFailure>
}

/** The statements of a write count from 0, whatever stands before it. */
const withoutTurn = <E extends WriterError>(failure: E) =>
  failure._tag === "WriteConflict" ? new WriteConflict({ ...failure, statement: failure.statement - 1 }) : failure

export const make: Effect.Effect<AccountWriter, never, Writer | DatabaseReader> = Effect.gen(function* () {
  const writer = yield* Writer
  const quota = yield* Quota
  const { accountTurn } = (yield* DatabaseReader).dialect

  const run = <A>(accountId: string, lane: Lane, write: Write.Write<A>): Effect.Effect<A, WriterError> => {
    // A write that names its lock takes it itself.
    if (accountTurn === undefined || !quota.isCounted || write.lock !== undefined) return writer.write(lane, write)
    const turn = Write.statement(accountTurn, [accountId])
    return Effect.mapError(writer.write(lane, Write.withLock(Write.andThen(turn, write), accountId)), withoutTurn)
  }

  return { write: (accountId, lane, write) => quota.guard(accountId, write, run(accountId, lane, write)) }
})
