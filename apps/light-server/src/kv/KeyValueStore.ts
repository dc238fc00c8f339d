/** Key-value pairs of accounts in the database. */
import { Context, Effect, Layer, type Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import * as Ids from "../database/Ids.ts"
import { type Dialect, sqlite } from "../database/Dialect.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import { KeyValue, type Mutation, never } from "./KeyValue.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export class KeyValueStore extends Context.Tag("light-server/KeyValueStore")<
  KeyValueStore,
  {
    readonly find: (accountId: string, key: string) => Effect.Effect<Option.Option<KeyValue>, ReadFailed>
    /** Those of the keys that were ever written, deleted ones included, in no order. */
    readonly pick: (
      accountId: string,
      keys: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<KeyValue>, ReadFailed>
    /** Those that begin with the prefix and are not deleted, by key, bounded in rows and bytes. */
    readonly list: (
      accountId: string,
      prefix: string,
      limit: number
    ) => Effect.Effect<BoundedList.BoundedList, ReadFailure>
    /**
     * All of the mutations or none. Returns the cursor of the account. Fails with `WriteConflict` of statement 0 when
     * the account does not exist, and of a later one when a key is at another version.
     */
    readonly mutate: (accountId: string, mutations: ReadonlyArray<Mutation>) => Effect.Effect<number, WriteFailure>
  }
>() {}

const columns = `"key", "value", "version"`

const selectOne = `SELECT ${columns} FROM "UserKVStore" WHERE "accountId" = ? AND "key" = ?`

const selectSome = ({ textsIn }: Dialect) => `SELECT ${columns} FROM "UserKVStore"
  WHERE "accountId" = ? AND "key" IN (${textsIn("?")})`

// A range finds a prefix through the index, with upper and lower case apart and without wildcards.
const listed: BoundedList.Source = {
  table: "UserKVStore",
  columns,
  weighty: ["value"],
  from: `FROM "UserKVStore" WHERE "accountId" = ? AND "key" >= ? AND "key" < ? AND "value" IS NOT NULL`,
  key: `"key"`,
  direction: "ASC",
  bytesMax: BoundedList.listBytes
}

const shape: BoundedList.Shape = {
  fields: [
    { column: "key", kind: "text", as: "key" },
    { column: "value", kind: "bytesOrNull", as: "value" },
    { column: "version", kind: "int", as: "version" }
  ]
}

/** After every text that begins with the prefix: it sorts behind all characters that are in use. */
const afterPrefix = (prefix: string) => `${prefix}\u{10FFFF}\u{10FFFF}`

const insertNew = `INSERT INTO "UserKVStore" ("id", "accountId", "key", "value", "version", "createdAt", "updatedAt")
  VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT ("accountId", "key") DO NOTHING`

const replaceOld = `UPDATE "UserKVStore" SET "value" = ?, "version" = "version" + 1, "updatedAt" = ?
  WHERE "accountId" = ? AND "key" = ? AND "version" = ?`

/** The write of a batch. */
export const mutateWrite = (
  accountId: string,
  mutations: ReadonlyArray<Mutation>,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer,
  dialect: Dialect = sqlite
): Write.Write<number> => {
  const now = encode(nowMillis)
  const statements = mutations.map(({ key, value, version }) =>
    version === never
      ? Write.statement(insertNew, [Ids.cuid(), accountId, key, value, now, now], { changes: 1 })
      : Write.statement(replaceOld, [value, now, accountId, key, version], { changes: 1 })
  )
  const change = { kind: "kv", keys: mutations.map(({ key }) => key) } as const
  const write = Write.all(statements).pipe(
    AccountCursor.numbered({ accountId, change, changedAt: now, dialect }),
    Write.map(([cursor]) => cursor)
  )
  return mutations.every(({ value, version }) => value === null && version !== never) ? Write.withReserve(write) : write
}

export const make: Effect.Effect<KeyValueStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const form = yield* TimeForm.TimeForm
  return KeyValueStore.of({
    find: (accountId, key) => reader.first(KeyValue, selectOne, [accountId, key]),
    pick: (accountId, keys) => reader.rows(KeyValue, selectSome(reader.dialect), [accountId, JSON.stringify(keys)]),
    list: (accountId, prefix, limit) =>
      BoundedList.read(reader, listed, shape, [accountId, prefix, afterPrefix(prefix)], limit),
    mutate: (accountId, mutations) =>
      Effect.suspend(() =>
        writer.write(accountId, Lane.data, mutateWrite(accountId, mutations, Date.now(), form, reader.dialect))
      )
  })
})

export const layer: Layer.Layer<KeyValueStore, never, DatabaseReader | Writer> = Layer.effect(KeyValueStore, make)
