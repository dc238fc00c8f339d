/**
 * Rows of another happier light server that this one does not serve. They stay in the file, but devices do not find
 * them: the operator is warned when the file is adopted, instead of hearing it from users.
 */
import type Sqlite from "better-sqlite3"
import { quoted, type SchemaShape } from "./SchemaShape.ts"

export interface Unserved {
  /** What the rows are, in words. */
  readonly kind: string
  readonly rowCount: number
}

/** Internal tables of the other server. Devices do not read them. */
const workingTables: ReadonlySet<string> = new Set(["GlobalLock", "RepeatKey", "SimpleCache"])

/** Rows of tables that are served, and that are not. */
const exceptions = [
  { kind: "sessions without encryption", table: "Session", column: "encryptionMode", where: `= 'plain'` },
  { kind: "accounts without encryption", table: "Account", column: "encryptionMode", where: `= 'plain'` },
  { kind: "accounts without a key, which cannot log in", table: "Account", column: "publicKey", where: "IS NULL" }
]

/** Counts them by kind, those of which there are any. `known`: tables of this server. Throws the driver's error. */
export const count = (
  sqlite: Sqlite.Database,
  file: SchemaShape,
  known: ReadonlySet<string>
): ReadonlyArray<Unserved> => {
  const rowCount = (from: string) => sqlite.prepare<[], number>(`SELECT count(*) FROM ${from}`).pluck().get() ?? 0
  const foreign = Array.from(file.tables.keys())
    .filter((table) => !known.has(table) && !workingTables.has(table))
    .map((table) => ({ kind: `rows of ${table}`, rowCount: rowCount(quoted(table)) }))
  const excepted = exceptions
    .filter(({ column, table }) => file.tables.get(table)?.columns.some(({ name }) => name === column) === true)
    .map(({ column, kind, table, where }) => ({
      kind,
      rowCount: rowCount(`${quoted(table)} WHERE ${quoted(column)} ${where}`)
    }))
  return [...excepted, ...foreign].filter(({ rowCount }) => rowCount > 0)
}
