/** Settings and profiles of accounts in the database. */
import { Clock, Context, Effect, Layer, type Option, Schema } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import type { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { DatabaseReader, type ReadFailed } from "../database/DatabaseReader.ts"
import type { Dialect } from "../database/Dialect.ts"
import * as TimeForm from "../database/TimeForm.ts"
import * as AccountCursor from "../entities/AccountCursor.ts"
import * as AccountWriter from "../quota/AccountWriter.ts"
import type { WriteFailure } from "../quota/AccountWriter.ts"

export const Settings = Schema.Struct({ settings: Schema.NullOr(Schema.String), settingsVersion: Schema.Int })

export type Settings = typeof Settings.Type

export interface Replacement {
  readonly accountId: string
  readonly settings: string | null
  readonly expectedVersion: number
}

/** The part of an account that its owner sees. */
export const Profile = Schema.Struct({
  id: Schema.String,
  firstName: Schema.NullOr(Schema.String),
  lastName: Schema.NullOr(Schema.String),
  username: Schema.NullOr(Schema.String),
  avatar: Schema.NullOr(Schema.parseJson()),
  /** Vendors for which the account has a token, readable or not. */
  connectedServices: Schema.parseJson(Schema.Array(Schema.String))
})

export type Profile = typeof Profile.Type

export class SettingsStore extends Context.Tag("light-server/SettingsStore")<
  SettingsStore,
  {
    readonly find: (accountId: string) => Effect.Effect<Option.Option<Settings>, ReadFailed>
    readonly findProfile: (accountId: string) => Effect.Effect<Option.Option<Profile>, ReadFailed>
    /**
     * Returns the cursor of the account that numbers the change. Fails with
     * `WriteConflict` of statement 0 when the account does not exist, and of a
     * later one when its settings are at another version.
     */
    readonly replace: (replacement: Replacement) => Effect.Effect<number, WriteFailure>
  }
>() {}

const select = `SELECT "settings", "settingsVersion" FROM "Account" WHERE "id" = ?`

const selectProfile = ({ arrayOf }: Dialect) => `SELECT "id", "firstName", "lastName", "username", "avatar", (
    SELECT ${arrayOf("vendor", "vendor")} FROM "ServiceAccountToken" WHERE "accountId" = "Account"."id"
  ) AS "connectedServices" FROM "Account" WHERE "id" = ?`

const replaceSettings = `UPDATE "Account"
  SET "settings" = ?, "settingsVersion" = "settingsVersion" + 1, "updatedAt" = ?
  WHERE "id" = ? AND "settingsVersion" = ?`

/** The write of a compare-and-set. */
export const replaceWrite = (
  { accountId, settings, expectedVersion }: Replacement,
  nowMillis: number,
  { encode }: TimeForm.Form = TimeForm.integer
): Write.Write<number> =>
  Write.statement(replaceSettings, [settings, encode(nowMillis), accountId, expectedVersion], { changes: 1 }).pipe(
    AccountCursor.numbered({ accountId, change: { kind: "account" }, changedAt: encode(nowMillis) }),
    Write.map(([cursor]) => cursor)
  )

export const make: Effect.Effect<SettingsStore["Type"], never, DatabaseReader | Writer> = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const writer = yield* AccountWriter.make
  const form = yield* TimeForm.TimeForm
  const profile = selectProfile(reader.dialect)
  return SettingsStore.of({
    find: (accountId) => reader.first(Settings, select, [accountId]),
    findProfile: (accountId) => reader.first(Profile, profile, [accountId]),
    replace: (replacement) =>
      Effect.flatMap(Clock.currentTimeMillis, (nowMillis) =>
        writer.write(replacement.accountId, Lane.control, replaceWrite(replacement, nowMillis, form))
      )
  })
})

export const layer: Layer.Layer<SettingsStore, never, DatabaseReader | Writer> = Layer.effect(SettingsStore, make)
