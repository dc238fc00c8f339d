/** Lists of sessions as clients get them. */
import { Context, Effect, Layer, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import * as BoundedList from "../database/BoundedList.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { SessionArchive } from "../database/SessionArchive.ts"
import type { ReadFailure } from "../database/ReadFailure.ts"
import * as Liveness from "../entities/Liveness.ts"
import { OnlineSessions } from "../entities/OnlineSessions.ts"
import { InvalidInput } from "../Failure.ts"
import * as SessionList from "./SessionList.ts"

/** A list as JSON. `isCut`: more rows would exceed the size limit, and there is no cursor. */
export interface SessionsJson {
  readonly json: Uint8Array
  readonly isCut: boolean
}

type ReadPage = (
  accountId: string,
  cursor: string | undefined,
  limit: number
) => Effect.Effect<Uint8Array, InvalidInput | ReadFailure>

export class SessionLists extends Context.Tag("light-server/SessionLists")<
  SessionLists,
  {
    /** The last updated first, at most 150. */
    readonly list: (accountId: string) => Effect.Effect<SessionsJson, ReadFailure>
    /** Online now and seen within 15 minutes, the last seen first. */
    readonly listActive: (accountId: string, limit: number) => Effect.Effect<SessionsJson, ReadFailure>
    /** Those that are not archived, the newest first, no more than 1 MiB, and where the next ones begin. */
    readonly page: ReadPage
    /** The same for those that are archived. */
    readonly pageArchived: ReadPage
  }
>() {}

const listLimit = 150

const activeWindowMillis = 15 * 60 * 1000

const cursorPrefix = "cursor_v1_"

/** Ids are short words; anything else was not created by `cursorAfter`. */
const cursorPattern = /^cursor_v1_([A-Za-z0-9_-]{1,128})$/

const idOf = (cursor: string): Effect.Effect<string, InvalidInput> =>
  Effect.fromNullable(cursorPattern.exec(cursor)?.[1]).pipe(
    Effect.mapError(() => new InvalidInput({ error: "Invalid cursor format" }))
  )

/** Messages are not part of a list. */
const withoutMessages = `"lastMessage":null`

/** Sessions are not shared here. */
const unshared = `"share":null`

const keptOf = Schema.decodeUnknownSync(SessionList.Kept)

export const make = Effect.gen(function* () {
  const reader = yield* DatabaseReader
  const presence = yield* Presence
  const online = yield* OnlineSessions
  const sources = SessionList.sourcesOf(yield* SessionArchive, reader.dialect)

  const toJson = (accountId: string, rows: ReadonlyArray<BoundedList.Row>, after: string) =>
    BoundedList.toJson(`{"sessions":[`, rows, after, ({ kept }) => {
      const [id, isActive, lastActiveAt] = keptOf(kept)
      const stored = { active: isActive, lastActiveAt }
      const { active, activeAt } = Liveness.of(presence, PresenceKey.session(accountId, id), stored)
      return `,"active":${active},"activeAt":${activeAt}`
    })

  const listed = (accountId: string, list: BoundedList.BoundedList): Effect.Effect<SessionsJson> =>
    Effect.as(BoundedList.reportCut("Session", list), {
      json: toJson(accountId, list.rows, "]}"),
      isCut: list.isCut
    })

  /** When each online session was last seen: from memory if it has the session, else from its row. */
  const aliveOf = (accountId: string) =>
    Effect.map(SessionList.readActive(reader, accountId), (stored) => {
      const alive = new Map<string, number>()
      const lastSeen = (id: string) => presence.lastSeen(PresenceKey.session(accountId, id))
      for (const { id, millis } of stored) {
        const seen = lastSeen(id)
        if (seen?.isOnline !== false) alive.set(id, Math.max(millis, seen?.lastSeenMillis ?? 0))
      }
      for (const id of online.of(accountId)) if (!alive.has(id)) alive.set(id, lastSeen(id)?.lastSeenMillis ?? 0)
      return [...alive]
    })

  const pageOf =
    (isArchived: boolean): ReadPage =>
    (accountId, cursor, limit) =>
      Effect.gen(function* () {
        const beforeId = cursor === undefined ? undefined : yield* idOf(cursor)
        const page = { accountId, isArchived, beforeId, limit }
        const { hasMore, lastKey, rows } = yield* SessionList.readPage(reader, sources, page, unshared)
        const next = hasMore && lastKey !== undefined ? `${cursorPrefix}${lastKey}` : null
        return toJson(accountId, rows, `],"nextCursor":${JSON.stringify(next)},"hasNext":${next !== null}}`)
      })

  return SessionLists.of({
    list: (accountId) =>
      Effect.flatMap(SessionList.readUpdated(reader, sources, accountId, listLimit, withoutMessages), (list) =>
        listed(accountId, list)
      ),
    listActive: (accountId, limit) =>
      Effect.gen(function* () {
        const sinceMillis = Date.now() - activeWindowMillis
        const alive = yield* aliveOf(accountId)
        const chosen = alive
          .filter(([, millis]) => millis > sinceMillis)
          .toSorted(([, a], [, b]) => b - a)
          .slice(0, limit)
        return yield* listed(accountId, yield* SessionList.readChosen(reader, sources, accountId, chosen, limit))
      }),
    page: pageOf(false),
    pageArchived: pageOf(true)
  })
})

export const layer: Layer.Layer<SessionLists, never, DatabaseReader | Presence | OnlineSessions> = Layer.effect(
  SessionLists,
  make
)
