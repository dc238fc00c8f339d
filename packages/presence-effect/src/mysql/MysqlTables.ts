/**
 * The tables of kinds as SQL of MySQL and MariaDB, for a migration or for a test.
 *
 * @example
 * import * as MysqlTables from "presence-effect/mysql/MysqlTables"
 *
 * console.log(MysqlTables.ddl({ device: { table: "Device", accountId: "accountId" } }))
 *
 * @since 0.4.0
 */
import type { PresenceKind, PresenceKinds } from "../presence/PresenceKind.ts"
import * as tableTexts from "../sqlite/internal/tableTexts.ts"
import { tableNames } from "../sqlite/internal/tableNames.ts"
import { quote } from "./internal/presenceSql.ts"

/** As long as an id of Prisma, and two of them fit a key. The default collation would fold case. */
const text = "VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL"

const tableDdl = (name: string, kind: PresenceKind): string => {
  const names = tableNames(name, kind)
  const columns = [
    `${quote(names.id)} ${text}`,
    ...(names.accountId === undefined ? [] : [`${quote(names.accountId)} ${text}`]),
    `${quote(names.active)} BOOLEAN NOT NULL DEFAULT FALSE`,
    `${quote(names.lastActiveAt)} BIGINT NOT NULL DEFAULT 0`,
    `PRIMARY KEY (${tableTexts.keyOf(names).map(quote).join(", ")})`,
    `INDEX ${quote(`${names.table}_${names.active}`.slice(0, 64))} (${quote(names.active)})`
  ]
  return `CREATE TABLE IF NOT EXISTS ${quote(names.table)} (
  ${columns.join(",\n  ")}
) ENGINE = InnoDB;
`
}

/**
 * One table and its index for each of `kinds`, with the names of the kind. Tables that exist stay as they are, so the
 * text may run at each start. A driver runs several statements at once only when it is told to (`multipleStatements`).
 *
 * **Details**
 *
 * - A new row is offline, and was never seen. Times are epoch milliseconds, whatever `timeForm` says.
 * - No index has the column of the time, which every heartbeat changes.
 * - Add columns of your own: the library reads and writes only those that the kind names.
 *
 * **Errors**: throws `StorageInvalid` when a kind is not valid.
 *
 * @category constructors
 * @since 0.4.0
 */
export const ddl = (kinds: PresenceKinds): string => tableTexts.ddlOf(kinds, tableDdl)
