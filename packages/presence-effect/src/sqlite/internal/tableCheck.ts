/**
 * What the statements of presence need of a table: its columns, an index that finds a row by its key, and one that
 * finds the rows that were not seen for long.
 */
import type { ColumnForm } from "./caseUpdate.ts"
import { namedOptions, type TableNames } from "./tableNames.ts"

/** A column of the table. Parameter: the table. */
export const columnsSql = "SELECT name, type, pk FROM pragma_table_xinfo(?)"

export interface Column {
  readonly name: string
  readonly type: string
  /** Position in the primary key, from 1. 0: not part of it. */
  readonly pk: number
}

/** A column of an index of the table, in the order of the index. Parameter: the table. */
export const indexesSql = `SELECT list.name AS "index", list.origin AS origin, list."unique" AS isUnique,
  list.partial AS isPartial, info.name AS "column", info.coll AS collation
FROM pragma_index_list(?) AS list JOIN pragma_index_xinfo(list.name) AS info
WHERE info.key = 1
ORDER BY list.seq, info.seqno`

export interface IndexColumn {
  readonly index: string
  /** `pk`: made for the primary key. */
  readonly origin: string
  readonly isUnique: number
  readonly isPartial: number
  /** `null`: an expression. */
  readonly column: string | null
  readonly collation: string
}

const isSame = (a: string | null | undefined, b: string | undefined): boolean =>
  b !== undefined && a?.toLowerCase() === b.toLowerCase()

/** The columns that the options name and the table does not have. */
export const missingColumns = (kind: string, names: TableNames, columns: ReadonlyArray<Column>): Array<string> =>
  namedOptions(names).flatMap(([option, wanted]) =>
    option === "table" || columns.some(({ name }) => isSame(name, wanted))
      ? []
      : [
          `${kind}.${option}: the table "${names.table}" has no column "${wanted}", only ` +
            columns.map(({ name }) => `"${name}"`).join(", ")
        ]
  )

/** The file, and its tables. One row of any database, and none of what stands in for one. */
export const placeSql = `SELECT
  (SELECT file FROM pragma_database_list WHERE name = 'main') AS file,
  (SELECT group_concat('"' || name || '"', ', ') FROM sqlite_schema
    WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite$_%' ESCAPE '$') AS tables`

export interface Place {
  readonly file: string
  /** `null`: none. */
  readonly tables: string | null
}

export const missingTable = (kind: string, { table }: TableNames, { tables }: Place): string =>
  `${kind}.table: there is no table "${table}", ` +
  (tables === null
    ? "nor any other: create the tables with your migrations first"
    : `only ${tables}: run your migrations, or name another table`)

interface Index {
  readonly name: string
  readonly origin: string
  readonly isUnique: boolean
  readonly columns: ReadonlyArray<IndexColumn>
}

const indexesOf = (rows: ReadonlyArray<IndexColumn>): ReadonlyArray<Index> => {
  const found = new Map<string, Index & { readonly columns: Array<IndexColumn> }>()
  for (const row of rows) {
    if (row.isPartial !== 0) continue
    const known = found.get(row.index)
    if (known !== undefined) known.columns.push(row)
    else found.set(row.index, { name: row.index, origin: row.origin, isUnique: row.isUnique === 1, columns: [row] })
  }
  return [...found.values()]
}

/** The first columns of the index are these, in any order. */
const beginsWith = ({ columns }: Index, wanted: ReadonlyArray<string | undefined>): boolean =>
  wanted.every((name) => columns.slice(0, wanted.length).some(({ column }) => isSame(column, name)))

const isUniqueOver = (index: Index, wanted: ReadonlyArray<string | undefined>): boolean =>
  index.isUnique && index.columns.length === wanted.length && beginsWith(index, wanted)

/** The id is the key of the table itself, an integer. */
const isRowid = (names: TableNames, columns: ReadonlyArray<Column>): boolean => {
  const [key, ...others] = columns.filter(({ pk }) => pk > 0)
  return key !== undefined && others.length === 0 && isSame(key.name, names.id) && /^integer$/i.test(key.type)
}

/** How a row is found by its key: by the key of the table itself, by an index, or not at all. */
export type KeyAccess =
  | { readonly _tag: "Rowid" }
  | { readonly _tag: "Index"; readonly name: string }
  | { readonly _tag: "None"; readonly problem: string }

const quoted = (names: ReadonlyArray<string | null | undefined>): string =>
  names.map((name) => `"${name ?? "…"}"`).join(", ")

/** Why a key may name more than one row, as far as the indexes say so. */
const ambiguity = (kind: string, names: TableNames, indexes: ReadonlyArray<Index>): string | undefined => {
  const { accountId, id, isKeyedByAccount, table } = names
  if (indexes.some((index) => isUniqueOver(index, [id]))) return undefined
  if (isKeyedByAccount) {
    return indexes.some((index) => isUniqueOver(index, [accountId, id]))
      ? undefined
      : `${kind}.key: no unique index of "${table}" has the columns ${quoted([accountId, id])} and no others`
  }
  const wider = indexes.find(({ columns, isUnique }) => isUnique && columns.some(({ column }) => isSame(column, id)))
  if (wider === undefined) return undefined
  const whole = quoted(wider.columns.map(({ column }) => column))
  const problem = `${kind}.key: "${id}" of "${table}" is unique only as a part of ${whole}`
  return isUniqueOver(wider, [accountId, id]) ? `${problem}: declare key: ["accountId", "id"]` : problem
}

/** An index counts when it begins with the key, or with the account and the id: then one entry reaches one row. */
export const keyAccess = (
  kind: string,
  names: TableNames,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<IndexColumn>
): KeyAccess => {
  if (isRowid(names, columns)) return { _tag: "Rowid" }
  const { accountId, id, isKeyedByAccount, table } = names
  const indexes = indexesOf(rows)
  const problem = ambiguity(kind, names, indexes)
  if (problem !== undefined) return { _tag: "None", problem }
  const rankOf = ({ isUnique, origin }: Index): number => (origin === "pk" ? 0 : isUnique ? 1 : 2)
  const [best] = indexes
    .filter(
      (index) =>
        beginsWith(index, [accountId, id]) || (isKeyedByAccount ? isUniqueOver(index, [id]) : beginsWith(index, [id]))
    )
    .toSorted((a, b) => rankOf(a) - rankOf(b))
  if (best !== undefined) return { _tag: "Index", name: best.name }
  const wanted = quoted(isKeyedByAccount ? [accountId, id] : [id])
  const also = isKeyedByAccount || accountId === undefined ? "" : `, or with ${quoted([accountId, id])}`
  return {
    _tag: "None",
    problem:
      `${kind}.id: no index of "${table}" begins with ${wanted}${also}, so each row of a flush would read the whole ` +
      `table: CREATE INDEX … ON "${table}"(${wanted})`
  }
}

/** How the values of a column compare when `keyIndex` finds the row. A column of another type may hold numbers. */
export const columnForm = (
  column: string | undefined,
  keyIndex: string | undefined,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<IndexColumn>
): ColumnForm => ({
  isText: /char|clob|text/i.test(columns.find(({ name }) => isSame(name, column))?.type ?? "text"),
  collation: rows.find((row) => row.index === keyIndex && isSame(row.column, column))?.collation
})

/** The index that a sweep reads. Without one each sweep reads every row of the table. */
export const sweepIndex = (names: TableNames, rows: ReadonlyArray<IndexColumn>): string | undefined =>
  indexesOf(rows).find(
    ({ columns: [first, second] }) => isSame(first?.column, names.active) && isSame(second?.column, names.lastActiveAt)
  )?.name
