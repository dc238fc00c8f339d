/** Tokens of accounts at vendors in the database, encrypted. */
import { Context, Effect, Layer, type Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** The vendors that clients connect. */
export const Vendor = Schema.Literal("openai", "anthropic", "gemini")

export type Vendor = typeof Vendor.Type

const StoredToken = Schema.Struct({ vendor: Schema.String, token: Schema.Uint8ArrayFromSelf })

export type StoredToken = typeof StoredToken.Type

export class VendorTokenStore extends Context.Tag("light-server/VendorTokenStore")<
  VendorTokenStore,
  {
    readonly find: (accountId: string, vendor: Vendor) => Effect.Effect<Option.Option<StoredToken>, ReadFailed>
    readonly list: (accountId: string) => Effect.Effect<ReadonlyArray<StoredToken>, ReadFailed>
    readonly replace: (accountId: string, vendor: Vendor, token: Uint8Array) => Effect.Effect<void, WriteFailure>
    /** Fails with `WriteConflict` when no token of the vendor is stored. */
    readonly remove: (accountId: string, vendor: Vendor) => Effect.Effect<void, WriteFailure>
  }
>() {}

const selectOne = `SELECT "vendor", "token" FROM "ServiceAccountToken" WHERE "accountId" = ? AND "vendor" = ?`

const selectAll = `SELECT "vendor", "token" FROM "ServiceAccountToken" WHERE "accountId" = ?
  ORDER BY "vendor" LIMIT 100`

const upsert = `INSERT INTO "ServiceAccountToken" ("id", "accountId", "vendor", "token", "createdAt", "updatedAt")
  VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT ("accountId", "vendor") DO UPDATE SET "token" = excluded."token", "updatedAt" = excluded."updatedAt"`

const removeOne = `DELETE FROM "ServiceAccountToken" WHERE "accountId" = ? AND "vendor" = ?`

export const make: Effect.Effect<VendorTokenStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const { encode } = yield* TimeForm.TimeForm
  return VendorTokenStore.of({
    find: (accountId, vendor) => reader.first(StoredToken, selectOne, [accountId, vendor]),
    list: (accountId) => reader.rows(StoredToken, selectAll, [accountId]),
    replace: (accountId, vendor, token) =>
      Effect.suspend(() => {
        const now = encode(Date.now())
        const params = [Ids.cuid(), accountId, vendor, token, now, now]
        return Effect.asVoid(writer.write(accountId, Lane.control, Write.statement(upsert, params, { changes: 1 })))
      }),
    remove: (accountId, vendor) =>
      Effect.asVoid(
        writer.write(
          accountId,
          Lane.control,
          Write.withReserve(Write.statement(removeOne, [accountId, vendor], { changes: 1 }))
        )
      )
  })
})

export const layer: Layer.Layer<VendorTokenStore, never, DatabaseReader | Writer> = Layer.effect(VendorTokenStore, make)
