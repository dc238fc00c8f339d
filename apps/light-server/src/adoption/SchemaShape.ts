/** What tables, columns and indexes a database has, read from the database itself. */
import type * as Sqlite from "better-sqlite3"

export interface Column {
  readonly name: string
  /** As declared; SQLite stores values by its affinity. */
  readonly type: string
  /** `NOT NULL`. */
  readonly isRequired: boolean
  /** The expression of the default, as declared. */
  readonly fallback: string | undefined
  /** Part of the primary key. */
  readonly isKey: boolean
  /** A generated column: it cannot be written. */
  readonly isGenerated: boolean
}

/** A column that points to another table. */
export interface Reference {
  readonly column: string
  readonly table: string
  readonly parentColumn: string
  readonly onDelete: string
  readonly onUpdate: string
}

export interface Table {
  readonly name: string
  /** The statement that made it. */
  readonly sql: string
  readonly columns: ReadonlyArray<Column>
  readonly references: ReadonlyArray<Reference>
}

export interface Index {
  readonly name: string
  readonly table: string
  /** The statement that made it; `undefined` for one that SQLite made for a key. */
  readonly sql: string | undefined
  readonly isUnique: boolean
  readonly columns: ReadonlyArray<string>
  /** The condition of a partial index. */
  readonly where: string | undefined
}

export interface SchemaShape {
  readonly tables: ReadonlyMap<string, Table>
  readonly indexes: ReadonlyArray<Index>
}

const selectTables = `SELECT name, sql FROM sqlite_master
  WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND name <> '_prisma_migrations' ORDER BY rowid`

const selectColumns = `SELECT name, type, "notnull" AS isRequired, dflt_value AS fallback, pk, hidden
  FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid`

// Keys over several columns have no single parent row to look for here, and this server declares none.
const selectReferences = `SELECT "from" AS "column", "table", coalesce("to", 'id') AS parentColumn,
    on_delete AS onDelete, on_update AS onUpdate
  FROM pragma_foreign_key_list(?) AS list
  WHERE (SELECT count(*) FROM pragma_foreign_key_list(?) WHERE id = list.id) = 1 ORDER BY id`

const selectIndexes = `SELECT list.name, list."unique" AS isUnique, master.sql
  FROM pragma_index_list(?) AS list
  LEFT JOIN sqlite_master AS master ON master.type = 'index' AND master.name = list.name
  ORDER BY list.seq DESC`

const selectIndexColumns = `SELECT coalesce(name, '') FROM pragma_index_info(?) ORDER BY seqno`

/** A name, quoted for a statement. */
export const quoted = (name: string): string => `"${name.replaceAll(`"`, `""`)}"`

interface ColumnRow {
  readonly name: string
  readonly type: string
  readonly isRequired: number
  readonly fallback: string | null
  readonly pk: number
  readonly hidden: number
}

const tableOf = (sqlite: Sqlite.Database, { name, sql }: { readonly name: string; readonly sql: string }): Table => ({
  name,
  sql,
  columns: sqlite
    .prepare<[string], ColumnRow>(selectColumns)
    .all(name)
    .map((row) => ({
      name: row.name,
      type: row.type.toUpperCase(),
      isRequired: row.isRequired !== 0,
      fallback: row.fallback ?? undefined,
      isKey: row.pk !== 0,
      isGenerated: row.hidden !== 0
    })),
  references: sqlite.prepare<[string, string], Reference>(selectReferences).all(name, name)
})

interface IndexRow {
  readonly name: string
  readonly isUnique: number
  readonly sql: string | null
}

const indexesOf = (sqlite: Sqlite.Database, table: string): ReadonlyArray<Index> =>
  sqlite
    .prepare<[string], IndexRow>(selectIndexes)
    .all(table)
    .map(({ isUnique, name, sql }) => ({
      name,
      table,
      sql: sql ?? undefined,
      isUnique: isUnique !== 0,
      columns: sqlite.prepare<[string], string>(selectIndexColumns).pluck().all(name),
      where: /\bWHERE\b([^]*)$/i.exec(sql ?? "")?.[1]?.trim()
    }))

/** Reads the shape of an open database. Writes nothing. Throws the driver's error. */
export const read = (sqlite: Sqlite.Database): SchemaShape => {
  const tables = sqlite
    .prepare<[], { readonly name: string; readonly sql: string }>(selectTables)
    .all()
    .map((row) => tableOf(sqlite, row))
  return {
    tables: new Map(tables.map((table) => [table.name, table])),
    indexes: tables.flatMap(({ name }) => indexesOf(sqlite, name))
  }
}
