/**
 * What counts as stored by an account: the rows of these tables, and the bytes of the texts and blobs in them.
 *
 * Not counted is what has a bound of its own: the feed of changes, pairing requests, and rows of which there is at most
 * one for each row that counts (archived sessions, revoked machines).
 */
import type { Dialect } from "../database/Dialect.ts"

export interface CountedTable {
  readonly table: string
  /** Columns whose size a client chooses. */
  readonly columns: ReadonlyArray<string>
  /** The column by which a row belongs to an account. */
  readonly ownerColumn: string
  /** The account that owns a row; `row` is the name of the row in the statement. */
  readonly ownerOf: (row: string) => string
  /** The table with the columns of its rows, restricted to an account by the condition that follows. */
  readonly from: (dialect: Dialect) => string
  /** Its rows count with their place in the file. `false`: they are counted as something else, or always there. */
  readonly hasRows: boolean
  /** Its rows end something, so that none is refused. */
  readonly isEnd: boolean
}

/** What a row takes besides its texts and blobs: its numbers, and its entries in the indexes. */
export const rowBytes = 256

const ofAccount = (table: string, columns: ReadonlyArray<string>): CountedTable => ({
  table,
  columns,
  ownerColumn: "accountId",
  ownerOf: (row) => `${row}."accountId"`,
  from: () => `"${table}" AS item WHERE item."accountId"`,
  hasRows: true,
  isEnd: false
})

export const tables: ReadonlyArray<CountedTable> = [
  ofAccount("Session", ["tag", "metadata", "agentState", "dataEncryptionKey"]),
  {
    ...ofAccount("SessionMessage", ["localId", "content"]),
    ownerColumn: "sessionId",
    ownerOf: (row) => `(SELECT "accountId" FROM "Session" WHERE "id" = ${row}."sessionId")`,
    from: ({ joinInOrder }) =>
      `"Session" ${joinInOrder} "SessionMessage" AS item ON item."sessionId" = "Session"."id"
      WHERE "Session"."accountId"`
  },
  ofAccount("Machine", ["metadata", "daemonState", "dataEncryptionKey"]),
  ofAccount("UsageReport", ["key", "data"]),
  ofAccount("Artifact", ["header", "body", "dataEncryptionKey"]),
  ofAccount("UserKVStore", ["key", "value"]),
  ofAccount("AccessKey", ["data"]),
  ofAccount("AccountPushToken", ["token"]),
  ofAccount("ServiceAccountToken", ["token", "metadata"]),
  { ...ofAccount("PresenceTokenRevocation", []), isEnd: true },
  {
    ...ofAccount("Account", ["settings"]),
    ownerColumn: "id",
    ownerOf: (row) => `${row}."id"`,
    from: () => `"Account" AS item WHERE item."id"`,
    hasRows: false
  }
]

/** The bytes that a row counts for. The length of a text or blob stands in the row's header: its pages are not read. */
export const sizeOf = ({ columns, hasRows }: CountedTable, row: string): string =>
  [hasRows ? String(rowBytes) : "0", ...columns.map((column) => `coalesce(octet_length(${row}."${column}"), 0)`)].join(
    " + "
  )

const sumOf = (table: CountedTable, dialect: Dialect): string =>
  `SELECT coalesce(sum(${sizeOf(table, "item")}), 0) AS "bytes", ${table.hasRows ? "count(*)" : "0"} AS "rows"
    FROM ${table.from(dialect)} = (SELECT "id" FROM owner)`

/** A subquery with what the account `owner."id"` stores now: `bytes` and `rows`. */
export const totalOf = (dialect: Dialect): string =>
  `SELECT CAST(sum("bytes") AS BIGINT) AS "bytes", CAST(sum("rows") AS BIGINT) AS "rows"
  FROM (${tables.map((table) => sumOf(table, dialect)).join(" UNION ALL ")}) AS "part"`
