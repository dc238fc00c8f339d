/**
 * The tables of kinds as SQL of PostgreSQL, for a migration or for a test.
 *
 * @example
 * import * as PostgresTables from "presence-effect/postgres/PostgresTables"
 *
 * console.log(PostgresTables.ddl({ device: { table: "Device", accountId: "accountId" } }))
 *
 * @since 0.4.0
 */
import type { PresenceKind, PresenceKinds } from "../presence/PresenceKind.ts"
import { ddl as leaseDdl } from "./internal/leaseSql.ts"
import * as tableTexts from "../sqlite/internal/tableTexts.ts"
import { quote, type TableNames, tableNames } from "../sqlite/internal/tableNames.ts"

/** No collation of a language: keys are compared and sorted byte for byte. */
const text = 'TEXT COLLATE "C" NOT NULL'

/** The rows of a replica that is gone. A heartbeat writes the mark that is there already, so no index changes. */
const servedByIndex = ({ active, servedBy, table }: TableNames): string =>
  servedBy === undefined
    ? ""
    : `CREATE INDEX IF NOT EXISTS ${quote(`${table}_${servedBy}`)} ON ${quote(table)} (${quote(servedBy)}) ` +
      `WHERE ${quote(active)};
`

const tableDdl = (name: string, kind: PresenceKind): string => {
  const names = tableNames(name, kind)
  const index = quote(`${names.table}_${names.active}`)
  const columns = [
    `${quote(names.id)} ${text}`,
    ...(names.accountId === undefined ? [] : [`${quote(names.accountId)} ${text}`]),
    `${quote(names.active)} BOOLEAN NOT NULL DEFAULT FALSE`,
    `${quote(names.lastActiveAt)} BIGINT NOT NULL DEFAULT 0`,
    ...(names.servedBy === undefined ? [] : [`${quote(names.servedBy)} TEXT COLLATE "C"`]),
    `PRIMARY KEY (${tableTexts.keyOf(names).map(quote).join(", ")})`
  ]
  return `CREATE TABLE IF NOT EXISTS ${quote(names.table)} (
  ${columns.join(",\n  ")}
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS ${index} ON ${quote(names.table)} (${quote(names.id)}) WHERE ${quote(names.active)};
${servedByIndex(names)}`
}

/**
 * One table and its index for each of `kinds`, with the names of the kind. Tables and indexes that exist stay as they
 * are, so the text may run at each start.
 *
 * **Details**
 *
 * - A new row is offline, and was never seen. Times are epoch milliseconds, whatever `timeForm` says.
 * - No index has a column that a heartbeat changes, and each page keeps free space: so a flush changes the row in its
 *   page and no index. An index on `lastActiveAt` made the table of a measurement thirty times as large.
 * - A kind with `servedBy` has that column and an index on it for rows that are online. Its leases need the table of
 *   `replicaDdl` too.
 * - Add columns of your own: the library reads and writes only those that the kind names. A table with wide rows makes
 *   a flush slower, because the whole row is written: a table of presence beside it, with the same key, is faster.
 *
 * **Errors**: throws `StorageInvalid` when a kind is not valid.
 *
 * @category constructors
 * @since 0.4.0
 */
export const ddl = (kinds: PresenceKinds): string => tableTexts.ddlOf(kinds, tableDdl)

/**
 * The table `Replica` of the leases, for kinds with `servedBy`: the epoch of each replica, and when it began and beat
 * last by the clock of the database. A table that exists stays as it is.
 *
 * @category constructors
 * @since 0.4.0
 */
export const replicaDdl: string = leaseDdl
