/** Accounts in the database. */
import { Clock, Context, Effect, Layer, Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { SqliteWriter } from "presence-effect/writer/SqliteWriter"
import * as Write from "presence-effect/writer/Write"
import type { WriterError } from "presence-effect/writer/WriterError"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { TimeForm } from "../database/TimeForm.ts"
import type { ProvenKey } from "./Login.ts"

export class AccountStore extends Context.Tag("light-server/AccountStore")<
  AccountStore,
  {
    /**
     * The id of the account with this key, created if it is new. An account that
     * exists and needs no change is answered without a write, so that a login
     * never waits for a lock somebody else holds.
     */
    readonly signIn: (key: ProvenKey) => Effect.Effect<string, WriterError | ReadFailed>
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
const find = `SELECT id, publicKey, contentPublicKey FROM Account WHERE publicKey IN (?, ?) LIMIT 1`

const upsert = `
INSERT INTO Account (id, publicKey, contentPublicKey, contentPublicKeySig, createdAt, updatedAt)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (publicKey) DO UPDATE SET
  contentPublicKey = coalesce(excluded.contentPublicKey, contentPublicKey),
  contentPublicKeySig = coalesce(excluded.contentPublicKeySig, contentPublicKeySig),
  updatedAt = excluded.updatedAt
RETURNING id`

export const layer: Layer.Layer<AccountStore, never, DatabaseReader | SqliteWriter> = Layer.effect(
  AccountStore,
  Effect.gen(function* () {
    const reader = yield* DatabaseReader
    const writer = yield* SqliteWriter
    const { encode } = yield* TimeForm
    return AccountStore.of({
      signIn: (key) =>
        Effect.gen(function* () {
          const hex = Buffer.from(key.publicKey).toString("hex")
          const stored = yield* reader.first(StoredAccount, find, [hex, hex.toUpperCase()])
          if (Option.isSome(stored) && isSame(stored.value.contentPublicKey, key)) return stored.value.id
          const now = encode(yield* Clock.currentTimeMillis)
          const publicKey = Option.match(stored, { onNone: () => hex, onSome: ({ publicKey }) => publicKey })
          const write = Write.statement(
            upsert,
            [Ids.cuid(), publicKey, key.content?.publicKey ?? null, key.content?.signature ?? null, now, now],
            { changes: 1 }
          ).pipe(Write.decodeRows(Schema.Struct({ id: Schema.String })))
          const [row] = yield* writer.write(Lane.control, write)
          // One row was changed, and RETURNING returns it.
          return row?.id ?? (yield* Effect.dieMessage("the account that was written has no row"))
        })
    })
  })
)
