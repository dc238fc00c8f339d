/**
 * What the statements of presence need of a table: its columns, an index that finds a row by its key, and one that
 * finds the rows that were not seen for long.
 */
import type { TableNames } from "./caseUpdate.ts"

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
  list.partial AS isPartial, info.name AS "column"
FROM pragma_index_list(?) AS list JOIN pragma_index_info(list.name) AS info
ORDER BY list.seq, info.seqno`

export interface IndexColumn {
  readonly index: string
  /** `pk`: made for the primary key. */
  readonly origin: string
  readonly isUnique: number
  readonly isPartial: number
  /** `null`: an expression. */
  readonly column: string | null
}

const isSame = (a: string | null | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase()

/** The columns that the options name and the table does not have. */
export const missingColumns = (kind: string, names: TableNames, columns: ReadonlyArray<Column>): Array<string> =>
  (["id", "accountId", "active", "lastActiveAt"] as const).flatMap((option) =>
    columns.some(({ name }) => isSame(name, names[option]))
      ? []
      : [
          `${kind}.${option}: the table "${names.table}" has no column "${names[option]}", only ` +
            columns.map(({ name }) => `"${name}"`).join(", ")
        ]
  )

const columnsByIndex = (
  rows: ReadonlyArray<IndexColumn>
): ReadonlyArray<[IndexColumn, ReadonlyArray<string | null>]> => {
  const found = new Map<string, [IndexColumn, Array<string | null>]>()
  for (const row of rows) {
    if (row.isPartial !== 0) continue
    const known = found.get(row.index)
    if (known === undefined) found.set(row.index, [row, [row.column]])
    else known[1].push(row.column)
  }
  return [...found.values()]
}

/** How a row is found by its key: by the key of the table itself, by an index, or not at all. */
export type KeyAccess =
  | { readonly _tag: "Rowid" }
  | { readonly _tag: "Index"; readonly name: string }
  | { readonly _tag: "None" }

/** An index counts when it begins with the id, or with the account and the id: then one entry reaches one row. */
export const keyAccess = (
  names: TableNames,
  columns: ReadonlyArray<Column>,
  indexes: ReadonlyArray<IndexColumn>
): KeyAccess => {
  const keyColumns = columns.filter(({ pk }) => pk > 0)
  const [key] = keyColumns
  if (keyColumns.length === 1 && key !== undefined && isSame(key.name, names.id) && /^integer$/i.test(key.type)) {
    return { _tag: "Rowid" }
  }
  const rankOf = ({ isUnique, origin }: IndexColumn): number => (origin === "pk" ? 0 : isUnique === 1 ? 1 : 2)
  const [best] = columnsByIndex(indexes)
    .filter(
      ([, [first, second]]) => isSame(first, names.id) || (isSame(first, names.accountId) && isSame(second, names.id))
    )
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b))
  return best === undefined ? { _tag: "None" } : { _tag: "Index", name: best[0].index }
}

/** The index that a sweep reads. Without one each sweep reads every row of the table. */
export const sweepIndex = (names: TableNames, indexes: ReadonlyArray<IndexColumn>): string | undefined =>
  columnsByIndex(indexes).find(
    ([, [first, second]]) => isSame(first, names.active) && isSame(second, names.lastActiveAt)
  )?.[0].index
