/** Accounts in the database. */
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { Forbidden } from "../Failure.ts"
import { TimeForm } from "../database/TimeForm.ts"
import type { SignUp } from "./AccountKnobs.ts"
import type { ProvenKey } from "./Login.ts"

export class AccountStore extends Context.Tag("light-server/AccountStore")<
  AccountStore,
  {
    /**
     * The id of the account with this key, created if it is new. An account
     * that exists and needs no change is returned without a write, so that a
     * login does not wait for a lock held by another process. Fails with
     * `Forbidden` when the account is new and sign-up is closed.
     */
    readonly signIn: (key: ProvenKey) => Effect.Effect<string, WriterError | ReadFailed | Forbidden>
  }
>() {}

const StoredAccount = Schema.Struct({
  id: Schema.String,
  publicKey: Schema.String,
  contentPublicKey: Schema.NullOr(Schema.Uint8ArrayFromSelf)
})

const isSame = (stored: Uint8Array | null, key: ProvenKey) =>
  key.content === undefined || (stored !== null && Buffer.compare(stored, key.content.publicKey) === 0)

// Both letter cases of the hex text are in use, and the index serves both.
const find = `SELECT "id", "publicKey", "contentPublicKey" FROM "Account" WHERE "publicKey" IN (?, ?) LIMIT 1`

/**
 * The write itself decides whether the key may be stored: when two clients try
 * to be first at the same time, one opens the account. Rows whose key is not a
 * key (32 bytes in hex) belong to the server and do not count as accounts.
 */
const upsertWhere = (condition: string) => `
INSERT INTO "Account" ("id", "publicKey", "contentPublicKey", "contentPublicKeySig", "createdAt", "updatedAt")
SELECT ?, ?, ?, ?, ?, ? WHERE ${condition}
ON CONFLICT ("publicKey") DO UPDATE SET
  "contentPublicKey" = coalesce(excluded."contentPublicKey", "Account"."contentPublicKey"),
  "contentPublicKeySig" = coalesce(excluded."contentPublicKeySig", "Account"."contentPublicKeySig"),
  "updatedAt" = excluded."updatedAt"
RETURNING "id"`

const isKnown = `EXISTS (SELECT 1 FROM "Account" WHERE "publicKey" = ?)`

const upsert: { readonly [signUp in SignUp]: string } = {
  open: upsertWhere("TRUE"),
  closed: upsertWhere(isKnown),
  "first-account": upsertWhere(
    `${isKnown} OR NOT EXISTS (SELECT 1 FROM "Account" WHERE "publicKey" IS NULL OR length("publicKey") = 64)`
  )
}

const signUpDisabled = new Forbidden({ error: "signup-disabled" })

const make = (signUp: SignUp) =>
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* Writer
    const { encode } = yield* TimeForm
    const { inTurn } = reader.dialect
    return AccountStore.of({
      signIn: (key) =>
        Effect.gen(function* () {
          const hex = Buffer.from(key.publicKey).toString("hex")
          const stored = yield* reader.first(StoredAccount, find, [hex, hex.toUpperCase()])
          if (Option.isSome(stored) && isSame(stored.value.contentPublicKey, key)) return stored.value.id
          if (Option.isNone(stored) && signUp === "closed") return yield* signUpDisabled
          const now = encode(yield* Clock.currentTimeMillis)
          const publicKey = Option.match(stored, { onNone: () => hex, onSome: ({ publicKey }) => publicKey })
          const values = [
            Ids.cuid(),
            publicKey,
            key.content?.publicKey ?? null,
            key.content?.signature ?? null,
            now,
            now
          ]
          const insert = Write.statement(
            upsert[signUp],
            signUp === "open" ? values : [...values, publicKey],
            signUp === "open" ? { changes: 1 } : {}
          ).pipe(Write.decodeRows(Ids.IdRow))
          // Where writes run side by side, two clients could both find that there is no account yet.
          const turn = signUp === "first-account" ? inTurn("first account") : Write.empty
          const [row] = yield* writer.write(Lane.control, Write.andThen(turn, insert))
          if (row !== undefined) return row.id
          // One row was changed, and RETURNING returns it, unless sign-up is closed.
          return yield* signUp === "open"
            ? Effect.dieMessage("the account that was written has no row")
            : signUpDisabled
        })
    })
  })

/** Accounts, and which keys may open one. */
export const layerWith = (signUp: SignUp): Layer.Layer<AccountStore, never, DatabaseReader | Writer> =>
  Layer.effect(AccountStore, make(signUp))

/** Accounts that every key may open. */
export const layer = layerWith("open")
