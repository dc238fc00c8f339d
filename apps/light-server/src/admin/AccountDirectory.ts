/** The accounts of the server, for its operator. What clients keep secret is not read. */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { Devices } from "../accounts/Devices.ts"
import type { Dialect } from "../database/Dialect.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import * as Ids from "../database/Ids.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import { StoredTime } from "../database/StoredTime.ts"
import { NotFound } from "../Failure.ts"
import { detachedOwner } from "../sessions/SessionRemoval.ts"
import { deletedKey } from "./AccountRemoval.ts"
import type * as AdminProtocol from "./AdminProtocol.ts"

export class AccountDirectory extends Context.Tag("light-server/AccountDirectory")<
  AccountDirectory,
  {
    /** The oldest first, at most 1000. */
    readonly list: Effect.Effect<typeof AdminProtocol.AccountList.Type, ReadFailure>
    readonly show: (id: string) => Effect.Effect<AdminProtocol.AccountDetail, NotFound | ReadFailure>
    /** The clients that showed a token of the account since the start. */
    readonly devices: (id: string) => Effect.Effect<AdminProtocol.DeviceList, NotFound | ReadFailure>
  }
>() {}

const listMax = 1000

const Row = Schema.Struct({
  id: Schema.String,
  createdAt: StoredTime,
  machineCount: Schema.Int,
  sessionCount: Schema.Int,
  lastActiveAt: Schema.NullOr(Schema.Number),
  disabledAt: Schema.NullOr(StoredTime)
})

const columnsOf = ({ larger, millisOf }: Dialect) => {
  const lastActive = (table: string) =>
    `coalesce((SELECT max(${millisOf("lastActiveAt")}) FROM "${table}" WHERE "accountId" = "Account"."id"), 0)`
  return `"id", "createdAt",
  (SELECT count(*) FROM "Machine" WHERE "accountId" = "Account"."id") AS "machineCount",
  (SELECT count(*) FROM "Session" WHERE "accountId" = "Account"."id") AS "sessionCount",
  nullif(${larger(lastActive("Machine"), lastActive("Session"))}, 0) AS "lastActiveAt",
  (SELECT "disabledAt" FROM "PresenceAccountDisablement" WHERE "accountId" = "Account"."id") AS "disabledAt"`
}

/** Accounts of the server itself, and those that are being deleted, are not shown. */
export const isShown = `"id" <> ? AND substr(coalesce("publicKey", ''), 1, ${deletedKey("").length}) <> ?`

/** The parameters of `isShown`. */
export const shownParams = [detachedOwner, deletedKey("")]

const selectList = (dialect: Dialect) => `SELECT ${columnsOf(dialect)} FROM "Account" WHERE ${isShown}
  ORDER BY ${dialect.millisOf("createdAt")}, "id" LIMIT ?`

const selectOne = (dialect: Dialect) => `SELECT ${columnsOf(dialect)}, "publicKey",
  (SELECT count(*) FROM "SessionMessage" WHERE "sessionId" IN
    (SELECT "id" FROM "Session" WHERE "accountId" = "Account"."id")) AS "messageCount"
  FROM "Account" WHERE "id" = ? AND ${isShown}`

const Detail = Schema.Struct({ ...Row.fields, publicKey: Schema.NullOr(Schema.String), messageCount: Schema.Int })

const connectionText = (connection: AdminConnection): string => {
  switch (connection.type) {
    case "user-scoped":
      return "app"
    case "machine-scoped":
      return `machine ${connection.machineId}`
    case "session-scoped":
      return `session ${connection.sessionId}`
  }
}

type AdminConnection = Effect.Effect.Success<ReturnType<Devices["Type"]["list"]>>[number]["connections"][number]

export const make = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const devices = yield* Devices
  const dialect = reader.dialect

  const devicesOf = (id: string) =>
    Effect.map(devices.list(id), (known) =>
      known.map((device) => ({ ...device, connections: device.connections.map(connectionText) }))
    )

  const show = (id: string) =>
    Effect.gen(function* () {
      const [found] = yield* reader.rowsAside("report", Detail, selectOne(dialect), [id, ...shownParams])
      if (found === undefined) return yield* new NotFound({ what: "Account" })
      return { ...found, devices: yield* devicesOf(id) }
    })

  return AccountDirectory.of({
    list: Effect.map(
      reader.rowsAside("report", Row, selectList(dialect), [...shownParams, listMax + 1]),
      (accounts) => ({
        accounts: accounts.slice(0, listMax),
        isCut: accounts.length > listMax
      })
    ),
    show,
    devices: (id) =>
      Effect.gen(function* () {
        const found = yield* reader.first(Ids.IdRow, `SELECT "id" FROM "Account" WHERE "id" = ? AND ${isShown}`, [
          id,
          ...shownParams
        ])
        if (Option.isNone(found)) return yield* new NotFound({ what: "Account" })
        return { devices: yield* devicesOf(id) }
      })
  })
})

export const layer: Layer.Layer<AccountDirectory, never, DatabaseReader | Devices> = Layer.effect(
  AccountDirectory,
  make
)
