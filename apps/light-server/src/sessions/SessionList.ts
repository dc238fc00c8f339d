/** Lists of sessions: which columns are read, and how many rows. */
import { Schema } from "effect"
import * as BoundedList from "../database/BoundedList.ts"
import type { DatabaseReader } from "../database/DatabaseReader.ts"
import type { Field } from "../database/ReadRequest.ts"
import { type Dialect, sqlite } from "../database/Dialect.ts"
import type { Place } from "../database/SessionArchive.ts"
import { readColumns } from "./Session.ts"

type Reader = DatabaseReader["Type"]

/** A row like one of `Session.Session`, in the form of a `Session.SessionView` without the fields of presence. */
const fields: ReadonlyArray<Field> = [
  { column: "id", kind: "text", as: "id" },
  { column: "seq", kind: "int", as: "seq" },
  { column: "metadata", kind: "text", as: "metadata" },
  { column: "metadataVersion", kind: "int", as: "metadataVersion" },
  { column: "agentState", kind: "textOrNull", as: "agentState" },
  { column: "agentStateVersion", kind: "int", as: "agentStateVersion" },
  { column: "dataEncryptionKey", kind: "bytesOrNull", as: "dataEncryptionKey" },
  { column: "archivedAt", kind: "timeOrNull", as: "archivedAt" },
  { column: "createdAt", kind: "time", as: "createdAt" },
  { column: "updatedAt", kind: "time", as: "updatedAt" },
  { column: "tag", kind: "text" },
  { column: "accountId", kind: "text" },
  { column: "active", kind: "flag" },
  { column: "lastActiveAt", kind: "time" }
]

/** The columns that presence needs: id, flag and time of a row. */
const kept = ["id", "active", "lastActiveAt"]

export const Kept = Schema.Tuple(Schema.String, Schema.Boolean, Schema.Number)

const ofAccount = `FROM "Session" WHERE "accountId" = ?`

const before = `AND "id" < ?`

/** The statements of all lists. */
export const sourcesOf = (place: Place, dialect: Dialect = sqlite) => {
  const { indexedBy, joinInOrder, keyOf, pairsIn } = dialect
  const sourceOf = (from: string, key: string, bytesMax: number): BoundedList.Source => ({
    table: "Session",
    columns: readColumns(place),
    weighty: ["metadata", "agentState", "dataEncryptionKey"],
    from,
    key,
    direction: "DESC",
    bytesMax
  })
  const pageOf = (from: string) => sourceOf(from, `"id"`, BoundedList.pageBytes)
  const isCurrent = `AND ${place.archivedAt} IS NULL`
  const isArchived = `AND ${place.archivedAt} IS NOT NULL`
  return {
    updated: sourceOf(ofAccount, `"updatedAt"`, BoundedList.listBytes),
    first: pageOf(`${ofAccount} ${isCurrent}`),
    next: pageOf(`${ofAccount} ${before} ${isCurrent}`),
    firstArchived: pageOf(`${ofAccount} ${isArchived}`),
    nextArchived: pageOf(`${ofAccount} ${before} ${isArchived}`),
    chosen: sourceOf(
      `FROM (${pairsIn("?", "aliveId", "aliveAt")}) AS "alive"
      ${joinInOrder} "Session" ${indexedBy(keyOf("Session"))} ON "id" = "aliveId" WHERE "accountId" = ?`,
      `"aliveAt"`,
      BoundedList.listBytes
    )
  }
}

export type Sources = ReturnType<typeof sourcesOf>

/** Active rows of an account that are read. An offline row leaves the index, so there are no more than are online. */
const activeLimit = 10_000

/**
 * From a partial index that contains the active rows of each account. It is named here: with statistics from when the
 * table had few rows SQLite would scan all of them.
 */
export const selectActive = ({ indexedBy, isText, isTrue, millisOf }: Dialect = sqlite): string =>
  `SELECT "id", ${millisOf("lastActiveAt")} AS "millis"
  FROM "Session" ${indexedBy("presence_Session_accountId_active_idx")}
  WHERE "accountId" = ? AND ${isTrue("active")} AND ${isText("id")} LIMIT ${activeLimit}`

const ActiveRow = Schema.Struct({ id: Schema.String, millis: Schema.Number })

/** The last updated first, archived or not. */
export const readUpdated = (
  reader: Reader,
  { updated }: Sources,
  accountId: string,
  limit: number,
  constants: string
) => BoundedList.read(reader, updated, { fields, kept, constants }, [accountId], limit)

/** The parameters of a page. */
export interface Page {
  readonly accountId: string
  readonly isArchived: boolean
  /** Ids descending, below this one if there is one. */
  readonly beforeId: string | undefined
  readonly limit: number
}

export const readPage = (
  reader: Reader,
  { first, firstArchived, next, nextArchived }: Sources,
  { accountId, beforeId, isArchived, limit }: Page,
  constants: string
) =>
  beforeId === undefined
    ? BoundedList.read(reader, isArchived ? firstArchived : first, { fields, kept, constants }, [accountId], limit)
    : BoundedList.read(
        reader,
        isArchived ? nextArchived : next,
        { fields, kept, constants },
        [accountId, beforeId],
        limit
      )

/** Sessions whose rows are active, and when they were last seen. */
export const readActive = (reader: Reader, accountId: string) =>
  reader.rowsAside("list", ActiveRow, selectActive(reader.dialect), [accountId])

/** Those with these ids, sorted by the time beside each, the newest first. */
export const readChosen = (
  reader: Reader,
  sources: Sources,
  accountId: string,
  chosen: ReadonlyArray<readonly [id: string, aliveAtMillis: number]>,
  limit: number
) => BoundedList.read(reader, sources.chosen, { fields, kept }, [JSON.stringify(chosen), accountId], limit)
