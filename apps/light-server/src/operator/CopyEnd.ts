/** One side of a copy: a file or a PostgreSQL database, in an open transaction. */
import type Sqlite from "better-sqlite3"
import { Effect, Either } from "effect"
import type { Value } from "../adoption/RowDigest.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import type { PostgresFailure } from "../postgres/PostgresFailure.ts"
import type { PostgresSession } from "../postgres/PostgresSession.ts"
import * as CopiedTable from "./CopiedTable.ts"
import { CopyRefused } from "./CopyError.ts"

/** Why one side failed. */
export type EndFailure = CopyRefused | PostgresFailure

/** Takes the rows of a table, some at a time. */
export type Take<E> = (rows: ReadonlyArray<CopiedTable.CopiedRow>) => Effect.Effect<void, E>

export interface CopyEnd {
  readonly place: string
  readonly isEmpty: (table: CopiedTable.CopiedTable) => Effect.Effect<boolean, EndFailure>
  readonly read: <E>(table: CopiedTable.CopiedTable, take: Take<E>) => Effect.Effect<void, EndFailure | E>
  readonly write: (
    table: CopiedTable.CopiedTable,
    rows: ReadonlyArray<CopiedTable.CopiedRow>
  ) => Effect.Effect<void, EndFailure>
}

/** A batch ends at the first of the two. */
const batchRows = 500
const batchBytes = 4 * 1024 * 1024

const quote = (name: string): string => `"${name}"`

const namesOf = ({ columns }: CopiedTable.CopiedTable): string => columns.map(({ name }) => quote(name)).join(", ")

/** Names the row by its key, which stands first in every table, and never shows a value of a client. */
const rowOf = (
  place: string,
  { columns, name }: CopiedTable.CopiedTable,
  values: ReadonlyArray<Value>
): Either.Either<CopiedTable.CopiedRow, CopyRefused> => {
  const row: Array<Value> = []
  for (const [index, column] of columns.entries()) {
    const made = CopiedTable.valueOf(values[index] ?? null, column)
    if (Either.isLeft(made)) {
      const reason = `${name}.${column.name} of the row ${String(values[0])} cannot be copied: ${made.left}`
      return Either.left(new CopyRefused({ place, reason }))
    }
    row.push(made.right)
  }
  return Either.right(row)
}

/** Yields to signals and timers: the driver works on the same thread. */
const breathe = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const takeAll = <E>(
  place: string,
  table: CopiedTable.CopiedTable,
  source: Iterator<ReadonlyArray<Value>>,
  take: Take<E>
): Effect.Effect<void, CopyRefused | E> =>
  Effect.gen(function* () {
    let batch: Array<CopiedTable.CopiedRow> = []
    let bytes = 0
    for (;;) {
      const next = yield* Effect.try({
        try: () => source.next(),
        catch: (cause) => new CopyRefused({ place, reason: DatabaseFile.reasonOf(cause) })
      })
      if (next.done === true) break
      const row = yield* rowOf(place, table, next.value)
      batch.push(row)
      bytes += CopiedTable.bytesOf(row)
      if (batch.length < batchRows && bytes < batchBytes) continue
      yield* take(batch)
      yield* breathe
      batch = []
      bytes = 0
    }
    if (batch.length > 0) yield* take(batch)
  })

export const ofFile = (place: string, sqlite: Sqlite.Database): CopyEnd => {
  const attempt = <A>(run: () => A) =>
    Effect.try({ try: run, catch: (cause) => new CopyRefused({ place, reason: DatabaseFile.reasonOf(cause) }) })
  return {
    place,
    isEmpty: ({ name }) => attempt(() => sqlite.prepare(`SELECT 1 FROM ${quote(name)} LIMIT 1`).get() === undefined),
    read: (table, take) =>
      Effect.flatMap(
        attempt(() => {
          const select = sqlite.prepare<[], ReadonlyArray<Value>>(`SELECT ${namesOf(table)} FROM ${quote(table.name)}`)
          return select.raw().safeIntegers().iterate()
        }),
        (rows) =>
          Effect.ensuring(
            takeAll(place, table, rows, take),
            Effect.sync(() => void rows.return?.())
          )
      ),
    write: (table, rows) =>
      attempt(() => {
        const places = table.columns.map(() => "?").join(", ")
        const insert = sqlite.prepare(`INSERT INTO ${quote(table.name)} (${namesOf(table)}) VALUES (${places})`)
        for (const row of rows) insert.run(...row)
      })
  }
}

/** Whole numbers as texts: they may be larger than a number can hold exactly. */
const selectOf = (table: CopiedTable.CopiedTable): string => {
  const columns = table.columns.map(({ name, type }) => {
    if (type === "bigint") return `${quote(name)}::text AS ${quote(name)}`
    return type === "boolean" ? `${quote(name)}::int AS ${quote(name)}` : quote(name)
  })
  return `SELECT ${columns.join(", ")} FROM ${quote(table.name)}`
}

const storedOf = (value: unknown, { type }: CopiedTable.CopiedColumn): Value =>
  type === "bigint" && typeof value === "string" ? BigInt(value) : (value as Value)

const boundOf = (value: Value, { type }: CopiedTable.CopiedColumn): unknown => {
  if (value === null) return null
  if (type === "boolean") return value === 1n
  return typeof value === "bigint" ? String(value) : value
}

/** In a transaction. */
export const ofPostgres = ({ place, query }: PostgresSession): CopyEnd => ({
  place,
  isEmpty: ({ name }) => Effect.map(query(`SELECT 1 FROM ${quote(name)} LIMIT 1`), (rows) => rows.length === 0),
  read: (table, take) =>
    Effect.gen(function* () {
      yield* query(`DECLARE copied NO SCROLL CURSOR FOR ${selectOf(table)}`)
      for (;;) {
        // Rows may be large: as few as fit in memory whatever they are.
        const found = yield* query(`FETCH ${Math.floor(batchRows / 10)} FROM copied`)
        if (found.length === 0) break
        const rows: Array<CopiedTable.CopiedRow> = []
        for (const record of found) {
          const values = table.columns.map((column) => storedOf(record[column.name], column))
          rows.push(yield* rowOf(place, table, values))
        }
        yield* take(rows)
      }
      yield* query("CLOSE copied")
    }),
  write: (table, rows) => {
    const arrays = table.columns.map((column, index) => rows.map((row) => boundOf(row[index] ?? null, column)))
    const lists = table.columns.map(({ type }, index) => `$${index + 1}::${type}[]`)
    const insert = `INSERT INTO ${quote(table.name)} (${namesOf(table)}) SELECT * FROM unnest(${lists.join(", ")})`
    return Effect.asVoid(query(insert, arrays))
  }
})
