/** Lists of sessions: what is read of them, and how much. */
import { Effect, Schema } from "effect"
import * as BoundedList from "../database/BoundedList.ts"
import type { DatabaseReader, ReadFailed } from "../database/DatabaseReader.ts"
import { millisOf } from "../database/StoredTime.ts"
import { columns, Session } from "./Session.ts"

type Reader = Pick<DatabaseReader["Type"], "rows">

export type Sessions = Effect.Effect<BoundedList.BoundedList<Session>, ReadFailed>

/** What memory knows about a session. */
export interface Sighting {
  readonly isOnline: boolean
  /** Epoch ms. */
  readonly lastSeenMillis: number
}

export interface ActiveOptions {
  /** Epoch ms. */
  readonly sinceMillis: number
  readonly limit: number
  /** `undefined`: memory does not know it. */
  readonly sightingOf: (id: string) => Sighting | undefined
}

const sourceOf = (from: string, key: string): BoundedList.Source => ({
  table: "Session",
  columns,
  weighty: ["metadata", "agentState", "dataEncryptionKey"],
  from,
  key,
  direction: "DESC"
})

const ofAccount = `FROM "Session" WHERE "accountId" = ?`

const updated = sourceOf(ofAccount, `"updatedAt"`)

const first = sourceOf(ofAccount, `"id"`)

const next = sourceOf(`${ofAccount} AND "id" < ?`, `"id"`)

const millis = millisOf("lastActiveAt")

/**
 * Those that memory sees online, and of those that it does not know the ones
 * that the database holds for active. A text is more than every number, so the
 * index serves both forms of times, and the key decides.
 */
const active = sourceOf(
  `FROM (
      SELECT "value" ->> 0 AS "aliveId", "value" ->> 1 AS "seenAt" FROM json_each(?)
      UNION ALL
      SELECT "id", 0 FROM "Session" WHERE "accountId" = ? AND "active" = 1 AND "lastActiveAt" > ?
        AND "id" NOT IN (SELECT "value" FROM json_each(?))
    ) CROSS JOIN "Session" ON "id" = "aliveId" WHERE "accountId" = ? AND max("seenAt", ${millis}) > ?`,
  `max("seenAt", ${millis})`
)

/** Newest sessions of an account among which those are looked for that only memory knows to be online. */
const sightingLimit = 10_000

/** From the index alone: the texts of sessions are long. */
const selectIds = `SELECT json_group_array("id") AS "ids" FROM (
    SELECT "id" FROM "Session" WHERE "accountId" = ? AND typeof("id") = 'text' ORDER BY "id" DESC LIMIT ${sightingLimit}
  )`

const Ids = Schema.Struct({ ids: Schema.parseJson(Schema.Array(Schema.String)) })

/** The last updated first. */
export const readUpdated = (reader: Reader, accountId: string, limit: number): Sessions =>
  BoundedList.read(reader, updated, Session, [accountId], limit)

/** Ids descending, below `beforeId` if there is one. */
export const readPage = (reader: Reader, accountId: string, beforeId: string | undefined, limit: number): Sessions =>
  beforeId === undefined
    ? BoundedList.read(reader, first, Session, [accountId], limit)
    : BoundedList.read(reader, next, Session, [accountId, beforeId], limit)

/**
 * Those that are online now and alive after `sinceMillis`, the last seen first.
 * What `sightingOf` knows counts, and the database for all others.
 */
export const readActive = (reader: Reader, accountId: string, options: ActiveOptions): Sessions =>
  Effect.gen(function* () {
    const [known] = yield* reader.rows(Ids, selectIds, [accountId])
    const sightings = (known?.ids ?? []).flatMap((id) => {
      const sighting = options.sightingOf(id)
      return sighting === undefined ? [] : [{ id, ...sighting }]
    })
    const online = sightings.filter(({ isOnline }) => isOnline).map(({ id, lastSeenMillis }) => [id, lastSeenMillis])
    const { limit, sinceMillis } = options
    return yield* BoundedList.read(
      reader,
      active,
      Session,
      [
        JSON.stringify(online),
        accountId,
        sinceMillis,
        JSON.stringify(sightings.map(({ id }) => id)),
        accountId,
        sinceMillis
      ],
      limit
    )
  })
