/** Writes on behalf of an account, within its quota. */
import { Effect } from "effect"
import type { Lane } from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import type { Write } from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import type { QuotaExceeded } from "../Failure.ts"
import { Quota } from "./Quota.ts"

/** Why a write of an account was not done. */
export type WriteFailure = WriterError | QuotaExceeded

export interface AccountWriter {
  readonly write: <A>(accountId: string, lane: Lane, write: Write<A>) => Effect.Effect<A, WriteFailure>
}

export const make: Effect.Effect<AccountWriter, never, Writer> = Effect.gen(function* () {
  const writer = yield* Writer
  const quota = yield* Quota
  return { write: (accountId, lane, write) => quota.guard(accountId, write, writer.write(lane, write)) }
})
