/**
 * The words in which databases differ. Statements are written once, in the SQL that all of them share, with `?` for
 * parameters; where they differ, a store takes the word from the dialect of its reader.
 */
import * as Write from "presence-effect/writer/Write"
import * as UsageWords from "./UsageWords.ts"

export interface Dialect {
  readonly name: "sqlite" | "postgres"
  /** A statement with `?`, in the placeholders of the database. Constant texts: the results are remembered. */
  readonly text: (sql: string) => string
  /** The milliseconds of a time column; 0 for a value that is not a time. */
  readonly millisOf: (column: string) => string
  /** The larger of two values. */
  readonly larger: (a: string, b: string) => string
  /** A flag as a condition. */
  readonly isTrue: (column: string) => string
  readonly isFalse: (column: string) => string
  /** Whether a column that must hold a text does. */
  readonly isText: (column: string) => string
  /** After a table: reads it through this index. Nothing where the planner has statistics of its own. */
  readonly indexedBy: (index: string) => string
  /** The index that a table has for its primary key. */
  readonly keyOf: (table: string) => string
  /** A join whose first side is read first. */
  readonly joinInOrder: string
  /** The texts in a JSON array, as rows of one column `value`. */
  readonly textsIn: (json: string, member?: string) => string
  /** Pairs of a text and a number in a JSON array, as rows of two columns. */
  readonly pairsIn: (json: string, text: string, number: string) => string
  /** Whether a JSON object has the member. */
  readonly hasMember: (json: string, member: string) => string
  /** A JSON object with one member. */
  readonly objectOf: (member: string, json: string) => string
  /** The values of a group as a JSON array. */
  readonly arrayOf: (column: string, order?: string) => string
  /** The column that finds a row fastest, whatever the key of its table is. */
  readonly rowAddress: string
  /** The foreign keys of the schema: `table`, `column`, `parent`, `onDelete`. */
  readonly foreignKeys: string
  /** Finds a column. Parameters: the table and the column. */
  readonly findColumn: string
  /** At the end of a SELECT in a write: keeps its rows as they are, and others from referring to them. */
  readonly lockingRow: string
  /** A statement of a write that makes writes of an account take turns, where several run at once. */
  readonly accountTurn: string | undefined
  /** Makes writes of one name take turns, where several run at once. */
  readonly inTurn: (name: string) => Write.Write<void>
  readonly usage: UsageWords.UsageWords
}

/** Whatever the form of the time is, so that one file may hold all of them in one order. */
const sqliteMillisOf = (column: string): string =>
  `coalesce(CASE typeof("${column}") WHEN 'text'
    THEN CAST(round(unixepoch("${column}", 'subsec') * 1000) AS INTEGER) ELSE "${column}" END, 0)`

export const sqlite: Dialect = {
  name: "sqlite",
  text: (sql) => sql,
  millisOf: sqliteMillisOf,
  larger: (a, b) => `max(${a}, ${b})`,
  isTrue: (column) => `"${column}" = 1`,
  isFalse: (column) => `"${column}" = 0`,
  isText: (column) => `typeof("${column}") = 'text'`,
  indexedBy: (index) => `INDEXED BY "${index}"`,
  keyOf: (table) => `sqlite_autoindex_${table}_1`,
  joinInOrder: "CROSS JOIN",
  textsIn: (json, member) => `SELECT "value" FROM json_each(${member === undefined ? json : `${json}, '$.${member}'`})`,
  pairsIn: (json, text, number) =>
    `SELECT "value" ->> 0 AS "${text}", "value" ->> 1 AS "${number}" FROM json_each(${json})`,
  hasMember: (json, member) => `json_extract(${json}, '$.${member}') IS NOT NULL`,
  objectOf: (member, json) => `json_object('${member}', ${json})`,
  arrayOf: (column, order) => `json_group_array("${column}"${order === undefined ? "" : ` ORDER BY "${order}"`})`,
  rowAddress: "rowid",
  foreignKeys: `SELECT t."name" AS "table", f."from" AS "column", f."table" AS "parent", f."on_delete" AS "onDelete"
    FROM sqlite_schema AS t, pragma_foreign_key_list(t."name") AS f WHERE t."type" = 'table'`,
  findColumn: `SELECT 1 AS "found" FROM pragma_table_info(?) WHERE "name" = ?`,
  lockingRow: "",
  accountTurn: undefined,
  inTurn: () => Write.empty,
  usage: UsageWords.sqlite
}
