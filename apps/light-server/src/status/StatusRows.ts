/**
 * The machines and sessions of the page: from the database those that were seen
 * last, from memory which of them are online and connected.
 *
 * Their names are encrypted by their clients, so the page shows ids.
 */
import { Effect, Schema } from "effect"
import { Presence } from "../entities/Presence.ts"
import * as PresenceKey from "../entities/PresenceKey.ts"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import type { Dialect } from "../database/Dialect.ts"
import { StoredTime } from "../database/StoredTime.ts"
import { presenceKey } from "../realtime/Connection.ts"
import * as Room from "../realtime/sending/Room.ts"
import { SocketServer } from "../realtime/SocketServer.ts"
import type { JsonObject } from "./StatusDelta.ts"

type Kind = "machine" | "session"

interface Row {
  readonly key: PresenceKey.PresenceKey
  readonly isActive: boolean
  readonly lastActiveMillis: number
}

/** Rows of one kind that are listed: active ones, and the last that were. */
export const activeMax = 200
export const inactiveMax = 50

const tableOf: { readonly [kind in Kind]: string } = { machine: "Machine", session: "Session" }

/** Two lists in the order of an index. */
const listOf = (kind: Kind, { isFalse, isTrue }: Dialect): string => {
  const part = (active: 0 | 1, limit: number) =>
    `SELECT * FROM (SELECT "id", "accountId", ${active} AS "active", "lastActiveAt" FROM "${tableOf[kind]}"
      WHERE ${active === 1 ? isTrue("active") : isFalse("active")} ORDER BY "lastActiveAt" DESC LIMIT ${limit}
    ) AS "part"`
  return `${part(1, activeMax)} UNION ALL ${part(0, inactiveMax)}`
}

const countOf = (kind: Kind): string => `SELECT count(*) AS "count" FROM "${tableOf[kind]}"`

const StoredRow = Schema.Struct({
  id: Schema.String,
  accountId: Schema.String,
  active: Schema.Number,
  lastActiveAt: StoredTime
})

const StoredCount = Schema.Struct({ count: Schema.Number })

const keyOf = (kind: Kind, accountId: string, id: string) =>
  kind === "machine" ? PresenceKey.machine(accountId, id) : PresenceKey.session(accountId, id)

/** In one text, so that a patch can name the row. */
const nameOf = ({ accountId, id }: PresenceKey.PresenceKey): string => `${accountId}/${id}`

const kinds = ["machine", "session"] as const

const makeTables = Effect.map(DatabaseReader, (reader) => {
  const rows = new Map<Kind, Map<string, Row>>(kinds.map((kind) => [kind, new Map()]))
  const totals = new Map<Kind, number>()
  const read = (kind: Kind) =>
    Effect.gen(function* () {
      const found = yield* reader.rowsAside("report", StoredRow, listOf(kind, reader.dialect), [])
      const [count] = yield* reader.rowsAside("report", StoredCount, countOf(kind), [])
      if (count !== undefined) totals.set(kind, count.count)
      const table = found.map(({ accountId, active, id, lastActiveAt }): Row => ({
        key: keyOf(kind, accountId, id),
        isActive: active !== 0,
        lastActiveMillis: lastActiveAt
      }))
      rows.set(kind, new Map(table.map((row) => [nameOf(row.key), row])))
    })
  return {
    /** A database that cannot be read now leaves the rows as they are. */
    refresh: Effect.ignore(Effect.forEach(kinds, read, { discard: true })),
    of: (kind: Kind) => rows.get(kind) ?? new Map<string, Row>(),
    totalOf: (kind: Kind) => totals.get(kind) ?? 0
  }
})

export interface StatusRows {
  /** Reads the rows from the database. */
  readonly refresh: Effect.Effect<void>
  /** A row that is not listed has connected since the last refresh. */
  readonly isOutdated: () => boolean
  readonly current: () => { readonly machines: JsonObject; readonly sessions: JsonObject; readonly counts: JsonObject }
}

export const make = Effect.gen(function* () {
  const presence = yield* Presence
  const { io } = yield* SocketServer
  const tables = yield* makeTables
  let isOutdated = true

  io.on("connection", ({ data: { verdict } }) => {
    if (verdict?._tag !== "Accepted") return
    const key = presenceKey(verdict.accountId, verdict.scope)
    if (key !== undefined && !tables.of(key.kind as Kind).has(nameOf(key))) isOutdated = true
  })

  const socketsOf = ({ accountId, id, kind }: PresenceKey.PresenceKey): number => {
    const room = kind === "machine" ? Room.ofMachine(accountId, id) : Room.ofSession(accountId, id)
    return io.of("/").adapter.rooms.get(room)?.size ?? 0
  }
  const shown = ({ isActive, key, lastActiveMillis }: Row): JsonObject => {
    const seen = presence.lastSeen(key)
    const isOnline = seen?.isOnline ?? isActive
    const sockets = socketsOf(key)
    const badge = isOnline ? (sockets > 0 ? "connected" : "online") : "offline"
    const seenAt = Math.max(seen?.lastSeenMillis ?? 0, lastActiveMillis)
    // A row that is connected is seen all the time: its moments would be sent again and again.
    return { id: key.id, account: key.accountId, badge, seenAt: badge === "connected" ? undefined : seenAt }
  }
  const listed = (kind: Kind): JsonObject =>
    Object.fromEntries(Array.from(tables.of(kind), ([name, row]) => [name, shown(row)]))
  const apps = () =>
    Array.from(io.of("/").sockets.values()).filter(
      ({ data: { verdict } }) => verdict?._tag === "Accepted" && verdict.scope._tag === "User"
    ).length
  return {
    refresh: Effect.zipRight(
      Effect.sync(() => {
        isOutdated = false
      }),
      tables.refresh
    ),
    isOutdated: () => isOutdated,
    current: () => ({
      machines: listed("machine"),
      sessions: listed("session"),
      counts: { machines: tables.totalOf("machine"), sessions: tables.totalOf("session"), apps: apps() }
    })
  } satisfies StatusRows
})
