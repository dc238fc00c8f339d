/** Access keys in the database: what a machine needs to open a session, encrypted by the client. */
import { Context, Effect, Layer, type Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import { StoredTime } from "../database/StoredTime.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

/** A key as clients see it. */
export const AccessKey = Schema.Struct({
  data: Schema.String,
  dataVersion: Schema.Int,
  createdAt: StoredTime,
  updatedAt: StoredTime
})

export type AccessKey = typeof AccessKey.Type

export interface Place {
  readonly accountId: string
  readonly sessionId: string
  readonly machineId: string
}

export class AccessKeyStore extends Context.Tag("light-server/AccessKeyStore")<
  AccessKeyStore,
  {
    readonly find: (place: Place) => Effect.Effect<Option.Option<AccessKey>, ReadFailed>
    /** Conflicts when there is one, or the session or the machine is not of the account. */
    readonly insert: (place: Place, key: AccessKey) => Effect.Effect<void, WriteFailure>
    /** Conflicts when the key does not exist or is at another version. */
    readonly replace: (place: Place, data: string, expectedVersion: number) => Effect.Effect<void, WriteFailure>
  }
>() {}

const ofAccount = `"accountId" = ? AND "machineId" = ? AND "sessionId" = ?
  AND EXISTS (SELECT 1 FROM "Session" WHERE "id" = "AccessKey"."sessionId" AND "accountId" = "AccessKey"."accountId")`

const select = `SELECT "data", "dataVersion", "createdAt", "updatedAt" FROM "AccessKey" WHERE ${ofAccount}`

const insertNew = `INSERT INTO "AccessKey"
    ("id", "accountId", "machineId", "sessionId", "data", "dataVersion", "createdAt", "updatedAt")
  SELECT ?, m."accountId", m."id", s."id", ?, ?, ?, ? FROM "Machine" AS m, "Session" AS s
  WHERE m."id" = ? AND m."accountId" = ? AND s."id" = ? AND s."accountId" = m."accountId"
  ON CONFLICT ("accountId", "machineId", "sessionId") DO NOTHING`

const replaceData = `UPDATE "AccessKey" SET "data" = ?, "dataVersion" = "dataVersion" + 1, "updatedAt" = ?
  WHERE ${ofAccount} AND "dataVersion" = ?`

export const make: Effect.Effect<AccessKeyStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const { encode } = yield* TimeForm.TimeForm
  return AccessKeyStore.of({
    find: ({ accountId, machineId, sessionId }) => reader.first(AccessKey, select, [accountId, machineId, sessionId]),
    insert: ({ accountId, machineId, sessionId }, { data, dataVersion, createdAt, updatedAt }) => {
      const times = [encode(createdAt), encode(updatedAt)]
      const params = [Ids.cuid(), data, dataVersion, ...times, machineId, accountId, sessionId]
      return Effect.asVoid(writer.write(accountId, Lane.control, Write.statement(insertNew, params, { changes: 1 })))
    },
    replace: ({ accountId, machineId, sessionId }, data, expectedVersion) =>
      Effect.suspend(() => {
        const params = [data, encode(Date.now()), accountId, machineId, sessionId, expectedVersion]
        return Effect.asVoid(writer.write(accountId, Lane.data, Write.statement(replaceData, params, { changes: 1 })))
      })
  })
})

export const layer: Layer.Layer<AccessKeyStore, never, DatabaseReader | Writer> = Layer.effect(AccessKeyStore, make)
