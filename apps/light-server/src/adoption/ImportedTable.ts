/** The copy of one table from a database of another happier light server into a fresh one of ours. */
import type * as Sqlite from "better-sqlite3"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as RowDigest from "./RowDigest.ts"
import type { Column, SchemaShape, Table } from "./SchemaShape.ts"
import { quoted } from "./SchemaShape.ts"
import { essentialTables } from "./ServerSchema.ts"
import { StoredTime } from "../database/StoredTime.ts"

/** The result of one table. */
export interface TableReport {
  readonly table: string
  readonly readCount: number
  readonly writtenCount: number
  /** How many rows were left out, by reason. */
  readonly skipped: ReadonlyMap<string, number>
  /** Of the rows that were written, with their times as milliseconds. */
  readonly checksum: string
}

/** A table that is not imported. */
export interface IgnoredTable {
  readonly table: string
  readonly rowCount: number
}

/** Tables of the source that have rows and no counterpart here. Throws the driver's error. */
export const ignored = (
  source: Sqlite.Database,
  sourceShape: SchemaShape,
  tables: ReadonlyArray<Table>
): ReadonlyArray<IgnoredTable> =>
  Array.from(sourceShape.tables.keys())
    .filter((name) => !tables.some((table) => table.name === name))
    .map((table) => ({
      table,
      rowCount:
        source
          .prepare<[], number>(`SELECT count(*) FROM ${quoted(table)}`)
          .pluck()
          .get() ?? 0
    }))
    .filter(({ rowCount }) => rowCount > 0)

/**
 * Why a source cannot be imported; empty when it can. A missing table counts as empty, unless every such server has it.
 * A missing column takes its default, unless it has none.
 */
export const obstacles = (tables: ReadonlyArray<Table>, source: SchemaShape): ReadonlyArray<string> =>
  tables.flatMap(({ columns, name: table }) => {
    const theirs = source.tables.get(table)
    if (theirs === undefined) return essentialTables.includes(table) ? [`table ${table} is missing`] : []
    return columns
      .filter(({ fallback, isRequired, name }) => {
        const isThere = theirs.columns.some((column) => column.name === name)
        return !isThere && isRequired && fallback === undefined
      })
      .map(({ name }) => `${table}.${name} is missing`)
  })

/** Parents before their children. */
export const inOrder = (schema: SchemaShape): ReadonlyArray<Table> => {
  const ordered = new Set<Table>()
  const visit = (table: Table, path: ReadonlyArray<Table>): void => {
    if (ordered.has(table) || path.includes(table)) return
    for (const { table: parent } of table.references) {
      const found = schema.tables.get(parent)
      if (found !== undefined) visit(found, [...path, table])
    }
    ordered.add(table)
  }
  for (const table of schema.tables.values()) visit(table, [])
  return [...ordered]
}

const isTime = ({ type }: Column): boolean => type === "DATETIME"

const decodeTime = Schema.decodeUnknownOption(StoredTime)

/** Milliseconds of a time in any form; `None` when it is not a time. */
const millisOf = (value: RowDigest.Value): Option.Option<bigint> =>
  Option.map(decodeTime(typeof value === "bigint" ? Number(value) : value), BigInt)

/** A row of ours, or the reason why it cannot be imported. */
const normalize = (columns: ReadonlyArray<Column>, row: Array<RowDigest.Value>): string | undefined => {
  for (const [index, column] of columns.entries()) {
    const value = row[index] ?? null
    if (value === null) {
      if (column.isRequired) return `${column.name} is empty`
    } else if (isTime(column)) {
      const millis = millisOf(value)
      if (Option.isNone(millis)) return `${column.name} is no time`
      row[index] = millis.value
    }
  }
  return undefined
}

/** The columns that both sides have; all of ours for a table that the source does not have. */
const sharedColumns = (table: Table, theirs: Table | undefined): ReadonlyArray<Column> =>
  theirs === undefined
    ? table.columns
    : table.columns.filter(({ name }) => theirs.columns.some((column) => column.name === name))

const select = (table: Table, columns: ReadonlyArray<Column>): string =>
  `SELECT ${columns.map(({ name }) => quoted(name)).join(", ")} FROM ${quoted(table.name)}`

const rowsOf = (sqlite: Sqlite.Database, sql: string): IterableIterator<Array<RowDigest.Value>> =>
  sqlite.prepare<[], Array<RowDigest.Value>>(sql).raw().safeIntegers().iterate()

/** An error of the driver while it wrote. All other errors here come from the source. */
export class TargetFault extends Error {}

const writing = <A>(write: () => A): A => {
  try {
    return write()
  } catch (cause) {
    throw new TargetFault("the target cannot be written", { cause })
  }
}

/** Work on a table, done in steps. One row is in memory at a time. */
export interface Work {
  /** Processes up to so many rows and returns whether there may be more. */
  readonly step: (rowCount: number) => boolean
  /** Stops, so that the database can be closed. */
  readonly end: () => void
}

export interface Copy extends Work {
  readonly report: () => TableReport
}

export interface Reading extends Work {
  readonly checksum: () => string
}

const takeSome = <A>(rows: Iterator<A>, rowCount: number, take: (row: A) => void): boolean => {
  for (let taken = 0; taken < rowCount; taken++) {
    const next = rows.next()
    if (next.done === true) return false
    take(next.value)
  }
  return true
}

/**
 * Begins the copy of `table`. The target is inside a transaction and enforces foreign keys. Every method throws the
 * driver's error, wrapped in `TargetFault` when it comes from the target.
 */
export const copy = (
  source: Sqlite.Database,
  sourceShape: SchemaShape,
  target: Sqlite.Database,
  table: Table
): Copy => {
  const theirs = sourceShape.tables.get(table.name)
  const columns = sharedColumns(table, theirs)
  const digest = RowDigest.make()
  const skipped = new Map<string, number>()
  let readCount = 0
  let writtenCount = 0
  const rows = theirs === undefined ? [].values() : rowsOf(source, select(table, columns))

  const parents = table.references.flatMap((reference) => {
    const index = columns.findIndex(({ name }) => name === reference.column)
    const find = `SELECT 1 FROM ${quoted(reference.table)} WHERE ${quoted(reference.parentColumn)} = ?`
    return index < 0 ? [] : [{ ...reference, index, find: target.prepare<[RowDigest.Value]>(find).pluck() }]
  })
  const orphanOf = (row: ReadonlyArray<RowDigest.Value>): string | undefined => {
    const lost = parents.find(({ find, index }) => {
      const value = row[index] ?? null
      return value !== null && find.get(value) === undefined
    })
    return lost === undefined ? undefined : `${lost.column} is no ${lost.table}`
  }

  const names = columns.map(({ name }) => quoted(name)).join(", ")
  const marks = columns.map(() => "?").join(", ")
  const insert = target.prepare<Array<RowDigest.Value>>(
    `INSERT INTO ${quoted(table.name)} (${names}) VALUES (${marks}) ON CONFLICT DO NOTHING`
  )

  const take = (row: Array<RowDigest.Value>): void => {
    readCount++
    const reason =
      normalize(columns, row) ??
      orphanOf(row) ??
      (writing(() => insert.run(...row)).changes === 0 ? "another row has its key" : undefined)
    if (reason !== undefined) {
      skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
      return
    }
    writtenCount++
    digest.add(row)
  }

  return {
    step: (rowCount) => takeSome(rows, rowCount, take),
    report: () => ({ table: table.name, readCount, writtenCount, skipped, checksum: digest.hex() }),
    end: () => void rows.return?.()
  }
}

/** Reads back what a copy has written, of the columns that the source has; the others have their defaults. */
export const readBack = (sourceShape: SchemaShape, target: Sqlite.Database, table: Table): Reading => {
  const theirs = sourceShape.tables.get(table.name)
  const digest = RowDigest.make()
  const rows = rowsOf(target, select(table, sharedColumns(table, theirs)))
  return {
    step: (rowCount) => takeSome(rows, rowCount, digest.add),
    checksum: digest.hex,
    end: () => void rows.return?.()
  }
}
