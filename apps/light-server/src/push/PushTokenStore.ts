/** Push tokens of phones in the database. */
import { Context, Effect, Layer, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { type Dialect, sqlite } from "../database/Dialect.ts"
import { StoredTime } from "../database/StoredTime.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** A token as clients see it. */
export const PushToken = Schema.Struct({
  id: Schema.String,
  token: Schema.String,
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type PushToken = typeof PushToken.Type

/** Clients never delete the token of a lost phone, so only the newest ones of an account are kept. */
export const tokensMax = 50

export class PushTokenStore extends Context.Tag("light-server/PushTokenStore")<
  PushTokenStore,
  {
    /** The newest first. */
    readonly list: (accountId: string) => Effect.Effect<ReadonlyArray<PushToken>, ReadFailed>
    /** A token that is stored already keeps its id and the time of its creation. */
    readonly add: (accountId: string, token: string) => Effect.Effect<void, WriteFailure>
    /** An unknown token is not an error. */
    readonly remove: (accountId: string, token: string) => Effect.Effect<void, WriteFailure>
  }
>() {}

const selectOf = ({
  millisOf
}: Dialect) => `SELECT "id", "token", "createdAt", "updatedAt" FROM "AccountPushToken" WHERE "accountId" = ?
  ORDER BY ${millisOf("createdAt")} DESC, "id" DESC LIMIT ${tokensMax}`

const upsert = `INSERT INTO "AccountPushToken" ("id", "accountId", "token", "createdAt", "updatedAt")
  VALUES (?, ?, ?, ?, ?)
  ON CONFLICT ("accountId", "token") DO UPDATE SET "updatedAt" = excluded."updatedAt"`

const removeOldest = ({ millisOf }: Dialect) => `DELETE FROM "AccountPushToken" WHERE "accountId" = ? AND "id" NOT IN (
    SELECT "id" FROM "AccountPushToken" WHERE "accountId" = ?
    ORDER BY ${millisOf("updatedAt")} DESC, "id" DESC LIMIT ${tokensMax}
  )`

const removeOne = `DELETE FROM "AccountPushToken" WHERE "accountId" = ? AND "token" = ?`

/** The write of a token, and the removal of those beyond the limit. */
export const addWrite = (
  accountId: string,
  token: string,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer,
  dialect: Dialect = sqlite
): Write.Write<void> => {
  const now = encode(nowMillis)
  return Write.statement(upsert, [Ids.cuid(), accountId, token, now, now], { changes: 1 }).pipe(
    Write.zip(Write.statement(removeOldest(dialect), [accountId, accountId])),
    Write.map(() => undefined)
  )
}

export const make: Effect.Effect<PushTokenStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const form = yield* TimeForm.TimeForm
  const select = selectOf(reader.dialect)
  return PushTokenStore.of({
    list: (accountId) => reader.rows(PushToken, select, [accountId]),
    add: (accountId, token) =>
      Effect.suspend(() =>
        writer.write(accountId, Lane.control, addWrite(accountId, token, Date.now(), form, reader.dialect))
      ),
    remove: (accountId, token) =>
      Effect.asVoid(
        writer.write(accountId, Lane.control, Write.withReserve(Write.statement(removeOne, [accountId, token])))
      )
  })
})

export const layer: Layer.Layer<PushTokenStore, never, DatabaseReader | Writer> = Layer.effect(PushTokenStore, make)
