/**
 * Lists of rows whose columns hold whatever clients put into them: bounded in
 * rows and in bytes, in one statement, and not spoiled by a single row.
 *
 * The sizes come first, from the heads of the rows, and only rows that fit are
 * read. A row that does not fit its schema is left out, counted and logged, and
 * the others are answered: a file of another server may hold what this one
 * never wrote.
 */
import { Effect, Either, ParseResult, Schema } from "effect"
import type { SqlValue } from "presence-effect/writer/Write"
import type { DatabaseReader, ReadFailed } from "./DatabaseReader.ts"
import { countCut, countUnreadable } from "./ReadMetrics.ts"

/** What a list is made of. */
export interface Source {
  readonly table: "Session" | "Machine" | "SessionMessage" | "Artifact" | "UserKVStore"
  /** Columns of the rows, as they stand in a statement. */
  readonly columns: string
  /** Columns whose sizes add up to what a row weighs. */
  readonly weighty: ReadonlyArray<string>
  /** Begins with `FROM`, and may end with a condition. */
  readonly from: string
  /** What the list is sorted by. */
  readonly key: string
  readonly direction: "ASC" | "DESC"
}

/** What was read of a list. */
export interface BoundedList<A> {
  readonly rows: ReadonlyArray<A>
  /** The key of the last row that was looked at, readable or not. `undefined`: there was none. */
  readonly lastKey: string | number | undefined
  /** There are rows after the last one. */
  readonly hasMore: boolean
  /** They would have been within the limit, and weigh too much. */
  readonly isCut: boolean
}

/** A list is read, made into JSON and sent in one piece. */
const bytesMax = 8 * 1024 * 1024

/**
 * The statement of a list, whose rows come in any order and say their place. Its
 * parameters are those of `from`, then the limit, twice.
 */
export const statement = ({ table, columns, weighty, from, key, direction }: Source): string => {
  const bytes = weighty.map((column) => `coalesce(octet_length("${column}"), 0)`).join(" + ")
  // One more than the limit says whether anything comes after it.
  return `WITH "candidate" AS MATERIALIZED (
      SELECT "id" AS "listId", ${key} AS "listKey", ${bytes} AS "listBytes" ${from}
      ORDER BY "listKey" ${direction} LIMIT ? + 1
    ), "measured" AS MATERIALIZED (
      SELECT "listId", "listKey", row_number() OVER "until" AS "listPlace",
        sum("listBytes") OVER "until" AS "listTotal", count(*) OVER () AS "listCandidates"
      FROM "candidate" WINDOW "until" AS (ORDER BY "listKey" ${direction}, "listId" ROWS UNBOUNDED PRECEDING)
    )
    SELECT "listKey", "listPlace", "listCandidates", ${columns} FROM "measured" CROSS JOIN "${table}" ON "id" = "listId"
    WHERE "listPlace" <= ? AND ("listPlace" = 1 OR "listTotal" <= ${bytesMax})`
}

/** A row before it is decoded. */
const Found = Schema.Struct(
  { listKey: Schema.Unknown, listPlace: Schema.Int, listCandidates: Schema.Int },
  Schema.Record({ key: Schema.String, value: Schema.Unknown })
)

/** No cursor is made from a key of another type. */
const isKey = (key: unknown): key is string | number => typeof key === "string" || typeof key === "number"

const columnOf = (error: ParseResult.ParseError) =>
  String(ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path[0] ?? "unknown")

/** Those of the rows that fit. Says which columns did not, and never what they hold. */
const readable = <A, I>(table: string, schema: Schema.Schema<A, I>, found: ReadonlyArray<unknown>) => {
  const decode = Schema.decodeUnknownEither(schema)
  const rows: Array<A> = []
  const columns: Array<string> = []
  for (const row of found) {
    const decoded = decode(row)
    if (Either.isRight(decoded)) rows.push(decoded.right)
    else columns.push(columnOf(decoded.left))
  }
  if (columns.length === 0) return Effect.succeed(rows)
  countUnreadable(table, columns.length)
  return Effect.logWarning("Rows that do not fit were left out of a list").pipe(
    Effect.annotateLogs({ code: "ROWS_UNREADABLE", table, rows: columns.length, columns: [...new Set(columns)] }),
    Effect.as(rows)
  )
}

/**
 * Reads at most `limit` rows that weigh no more than 8 MiB together. The first
 * one always may.
 */
export const read = <A, I>(
  reader: Pick<DatabaseReader["Type"], "rows">,
  source: Source,
  schema: Schema.Schema<A, I>,
  params: ReadonlyArray<SqlValue>,
  limit: number
): Effect.Effect<BoundedList<A>, ReadFailed> =>
  Effect.gen(function* () {
    const unsorted = yield* reader.rows(Found, statement(source), [...params, limit, limit])
    // SQLite would copy all the texts in order to sort them.
    const found = unsorted.toSorted((a, b) => a.listPlace - b.listPlace)
    const rows = yield* readable(source.table, schema, found)
    const candidates = found[0]?.listCandidates ?? 0
    return {
      rows,
      lastKey: found.map(({ listKey }) => listKey).findLast(isKey),
      hasMore: candidates > found.length,
      isCut: found.length < Math.min(limit, candidates)
    }
  })

/**
 * Counts and logs a list that was cut and has no cursor: nobody can ask for the
 * rest.
 */
export const reportCut = (table: Source["table"], { isCut, rows }: BoundedList<unknown>): Effect.Effect<void> => {
  if (!isCut) return Effect.void
  countCut(table)
  return Effect.logWarning("A list was cut because it weighs too much").pipe(
    Effect.annotateLogs({ code: "LIST_CUT", table, rows: rows.length })
  )
}
