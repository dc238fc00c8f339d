/**
 * The tables of kinds as SQL, for a migration or for a test.
 *
 * @example
 * import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
 *
 * console.log(PresenceTables.ddl({ device: { table: "Device", accountId: "accountId" } }))
 *
 * @since 0.4.0
 */
import type * as PresenceKind from "../presence/PresenceKind.ts"
import { quote, type TableNames, tableNames } from "./internal/tableNames.ts"
import * as tableTexts from "./internal/tableTexts.ts"

const columnLines = (names: TableNames, timeForm: PresenceKind.PresenceKind["timeForm"]): ReadonlyArray<string> => {
  const id = quote(names.id)
  const lastActiveAt = quote(names.lastActiveAt)
  const account = names.accountId === undefined ? [] : [`${quote(names.accountId)} TEXT NOT NULL`]
  const key =
    names.isKeyedByAccount && names.accountId !== undefined ? [`PRIMARY KEY (${quote(names.accountId)}, ${id})`] : []
  return [
    `${id} TEXT NOT NULL${key.length === 0 ? " PRIMARY KEY" : ""}`,
    ...account,
    `${quote(names.active)} INTEGER NOT NULL DEFAULT 0`,
    timeForm === "iso"
      ? `${lastActiveAt} TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000+00:00'`
      : `${lastActiveAt} INTEGER NOT NULL DEFAULT 0`,
    ...key
  ]
}

const tableDdl = (name: string, kind: PresenceKind.PresenceKind): string => {
  const names = tableNames(name, kind)
  const table = quote(names.table)
  const index = quote(`${names.table}_${names.active}_${names.lastActiveAt}`)
  return `CREATE TABLE IF NOT EXISTS ${table} (
  ${columnLines(names, kind.timeForm).join(",\n  ")}
);
CREATE INDEX IF NOT EXISTS ${index} ON ${table} (${quote(names.active)}, ${quote(names.lastActiveAt)});
`
}

/**
 * One table and its index for each of `kinds`, with the names of the kind. Tables and indexes that exist stay as they
 * are, so the text may run at each start.
 *
 * **Details**
 *
 * - A new row is offline, and was never seen.
 * - Add columns of your own: the library reads and writes only those that the kind names.
 *
 * **Errors**: throws `StorageInvalid` when a kind is not valid.
 *
 * @category constructors
 * @since 0.4.0
 */
export const ddl = (kinds: PresenceKind.PresenceKinds): string => tableTexts.ddlOf(kinds, tableDdl)
