/** What an account stores, for its owner. */
import { Effect, Option, Schema } from "effect"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import { Quota } from "./Quota.ts"
import type { Limits } from "./QuotaKnobs.ts"
import * as Recount from "./Recount.ts"

export interface StorageUsage extends Recount.Usage {
  /** `null`: nothing limits it. */
  readonly quota: Limits | null
}

const Kept = Schema.Struct({ bytes: Schema.Number, rows: Schema.Number })

const selectKept = `SELECT "byteCount" AS "bytes", "rowCount" AS "rows" FROM "PresenceAccountUsage"
  WHERE "accountId" = ? AND "isCounted"`

/** Reads it. An account whose totals nobody keeps is counted for the answer. */
export const make: Effect.Effect<
  (accountId: string) => Effect.Effect<StorageUsage, ReadFailure>,
  never,
  DatabaseReader
> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const { limits } = yield* Quota
  return (accountId) =>
    Effect.gen(function* () {
      const kept = limits === undefined ? Option.none() : yield* reader.first(Kept, selectKept, [accountId])
      const usage = Option.isSome(kept) ? kept.value : yield* Recount.sum(reader, accountId)
      return { bytes: usage.bytes, rows: usage.rows, quota: limits ?? null }
    })
})
