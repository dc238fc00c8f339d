/**
 * Where the current database keeps the times at which its sessions were archived.
 *
 * Our own files have a table for them. Other happier light servers have a column of the session: where a file has that
 * column, it is read and written, so that each server sees the changes of the other. Rows of our table from before the
 * other server added the column still count.
 */
import { Context, Effect, Layer } from "effect"
import * as Columns from "./Columns.ts"
import type { DatabaseReader, ReadFailed } from "./DatabaseReader.ts"

/** Where these times are stored. */
export interface Place {
  /** The file has the column of other servers. */
  readonly isShared: boolean
  /** The time of a row of `Session` in a statement; `NULL` unless the session is archived. */
  readonly archivedAt: string
}

const ownTime = `(SELECT "archivedAt" FROM "PresenceSessionArchive" WHERE "sessionId" = "Session"."id")`

export const own: Place = { isShared: false, archivedAt: ownTime }

export const shared: Place = { isShared: true, archivedAt: `coalesce("Session"."archivedAt", ${ownTime})` }

/** Where the database stores them. Our own table unless a layer provides another place. */
export class SessionArchive extends Context.Reference<SessionArchive>()("light-server/SessionArchive", {
  defaultValue: (): Place => own
}) {}

/** Finds out the place of a database from the columns of its sessions. */
export const detect: Effect.Effect<Place, ReadFailed, DatabaseReader> = Effect.map(
  Columns.has("Session", "archivedAt"),
  (isShared) => (isShared ? shared : own)
)

export const layer: Layer.Layer<SessionArchive, ReadFailed, DatabaseReader> = Layer.effect(SessionArchive, detect)
