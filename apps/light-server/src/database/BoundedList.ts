/**
 * Lists of rows whose columns hold data of clients: bounded in rows and in
 * bytes, in one statement, and not made unreadable by a single bad row.
 *
 * The sizes are read first, from the heads of the rows, and only rows that fit
 * are read. They are read, checked and converted to JSON in a thread. A row
 * that does not fit its schema is left out, counted and logged, and the others
 * are answered: another server may have written rows that this one never
 * writes.
 */
import { Effect } from "effect"
import type { SqlValue } from "presence-effect/writer/Write"
import * as FreedBytes from "../FreedBytes.ts"
import type { DatabaseReader } from "./DatabaseReader.ts"
import { type Dialect, sqlite } from "./Dialect.ts"
import type { ReadFailure } from "./ReadFailure.ts"
import { countCut, countUnreadable } from "./ReadMetrics.ts"
import type { ReadClass } from "./ReadPool.ts"
import type { Field, ListReply, ListRequest } from "./ReadRequest.ts"

type Table = "Session" | "Machine" | "SessionMessage" | "Artifact" | "UserKVStore" | "AccountChange" | "UsageReport"

/** The source of a list. */
export interface Source {
  readonly table: Table
  /** Columns of the rows, as they stand in a statement. */
  readonly columns: string
  /** Columns whose sizes add up to the size of a row. */
  readonly weighty: ReadonlyArray<string>
  /** Begins with `FROM`, and may end with a condition. */
  readonly from: string
  /** What the list is sorted by. */
  readonly key: string
  readonly direction: "ASC" | "DESC"
  /** Largest sum of the row sizes, the first row excepted. */
  readonly bytesMax: number
}

/** How rows are shown. */
export interface Shape {
  readonly fields: ReadonlyArray<Field>
  /** Columns of fields whose values come back beside the text. */
  readonly kept?: ReadonlyArray<string>
  /** Members that each row ends with, as JSON: `"share":null`. */
  readonly constants?: string
}

/** A row as text, without its braces. */
export interface Row {
  readonly members: Uint8Array
  /** Values of the columns that the shape keeps. */
  readonly kept: ReadonlyArray<unknown>
}

/** What was read of a list. */
export interface BoundedList extends Pick<ListReply, "lastKey" | "hasMore" | "isCut" | "first"> {
  readonly rows: ReadonlyArray<Row>
}

/** Of a page with a cursor, from which a client reads on. */
export const pageBytes = 1024 * 1024

/** Of a list without a cursor: clients cannot ask for the rest. */
export const listBytes = 8 * 1024 * 1024

/**
 * The statement of a list. Its rows come in any order and contain their place.
 * Its parameters are those of `from`, then the limit, twice.
 */
export const statement = (
  { bytesMax, columns, direction, from, key, table, weighty }: Source,
  { indexedBy, joinInOrder, keyOf }: Dialect = sqlite
): string => {
  const bytes = weighty.map((column) => `coalesce(octet_length("${column}"), 0)`).join(" + ")
  // One more than the limit shows whether anything comes after it. The index of the primary key is named, because with
  // statistics from when the table had few rows SQLite would go through all of them for each candidate.
  return `WITH "candidate" AS MATERIALIZED (
      SELECT "id" AS "listId", ${key} AS "listKey", ${bytes} AS "listBytes" ${from}
      ORDER BY "listKey" ${direction} LIMIT ? + 1
    ), "measured" AS MATERIALIZED (
      SELECT "listId", "listKey", row_number() OVER "until" AS "listPlace",
        sum("listBytes") OVER "until" AS "listTotal", count(*) OVER () AS "listCandidates"
      FROM "candidate" WINDOW "until" AS (ORDER BY "listKey" ${direction}, "listId" ROWS UNBOUNDED PRECEDING)
    )
    SELECT "listKey", "listPlace", "listCandidates", ${columns}
    FROM "measured" ${joinInOrder} "${table}" ${indexedBy(keyOf(table))} ON "id" = "listId"
    WHERE "listPlace" <= ? AND ("listPlace" = 1 OR "listTotal" <= ${bytesMax})`
}

type Reader = Pick<DatabaseReader["Type"], "dialect" | "list">

/** Logs which columns did not fit, never their values. */
const reportUnreadable = (table: Table, columns: ReadonlyArray<string>) => {
  if (columns.length === 0) return Effect.void
  countUnreadable(table, columns.length)
  return Effect.logWarning("Rows that do not fit were left out of a list").pipe(
    Effect.annotateLogs({ code: "ROWS_UNREADABLE", table, rows: columns.length, columns: [...new Set(columns)] })
  )
}

const rowsOf = ({ bytes, ends, kept }: ListReply): ReadonlyArray<Row> =>
  ends.map((end, index) => ({ members: bytes.subarray(ends[index - 1] ?? 0, end), kept: kept[index] ?? [] }))

/** Reads a list with a statement of its own. */
export const ask = (
  reader: Reader,
  table: Table,
  readClass: ReadClass,
  request: ListRequest
): Effect.Effect<BoundedList, ReadFailure> =>
  Effect.flatMap(reader.list(readClass, request), (reply) => {
    const { first, hasMore, isCut, lastKey, unreadable } = reply
    return Effect.as(reportUnreadable(table, unreadable), { rows: rowsOf(reply), lastKey, hasMore, isCut, first })
  })

/**
 * Reads at most `limit` rows, no larger together than the source allows. The
 * first row is always read.
 */
export const read = (
  reader: Reader,
  source: Source,
  shape: Shape,
  params: ReadonlyArray<SqlValue>,
  limit: number
): Effect.Effect<BoundedList, ReadFailure> =>
  ask(reader, source.table, "list", {
    _tag: "List",
    sql: statement(source, reader.dialect),
    params: [...params, limit, limit],
    fields: shape.fields,
    kept: shape.kept ?? [],
    first: [],
    constants: shape.constants ?? "",
    limit,
    bytesMax: source.bytesMax
  })

/**
 * Counts and logs a list that was cut and has no cursor: clients cannot ask for
 * the rest.
 */
export const reportCut = (table: Table, { isCut, rows }: BoundedList): Effect.Effect<void> => {
  if (!isCut) return Effect.void
  countCut(table)
  return Effect.logWarning("A list was cut because it weighs too much").pipe(
    Effect.annotateLogs({ code: "LIST_CUT", table, rows: rows.length })
  )
}

const text = (part: string) => Buffer.from(part)

const opening = text("{")
const closing = text("}")
const comma = text(",")

/**
 * JSON text of the rows between two texts. `more` adds members to a row: `,"active":true`. The texts of the rows are
 * freed: they can be used once.
 */
export const toJson = (
  before: string,
  rows: ReadonlyArray<Row>,
  after: string,
  more: (row: Row) => string = () => ""
): Buffer => {
  const parts: Array<Uint8Array> = [text(before)]
  for (const [index, row] of rows.entries()) {
    if (index > 0) parts.push(comma)
    parts.push(opening, row.members)
    const added = more(row)
    if (added !== "") parts.push(text(added))
    parts.push(closing)
  }
  parts.push(text(after))
  const json = Buffer.concat(parts)
  const [first] = rows
  if (first !== undefined) FreedBytes.free(new Uint8Array(first.members.buffer))
  return json
}
