/**
 * The words of PostgreSQL.
 *
 * `presence_json` is a function of the migrations: the value of a JSON text, or NULL for one that is not JSON or holds
 * a character that no text can.
 */
import * as Write from "presence-effect/writer/Write"
import type { Dialect } from "./Dialect.ts"
import * as UsageWords from "./UsageWords.ts"

/** What holds a question mark that is no parameter: texts, names and comments. */
const quotedOrParameter = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\?/g

const numbered = (sql: string): string => {
  let count = 0
  return sql.replace(quotedOrParameter, (part) => (part === "?" ? `$${++count}` : part))
}

/** Texts are constants of the program, except for a few that are made of the names of tables. */
const rememberedMax = 2000

const makeText = (): Dialect["text"] => {
  const remembered = new Map<string, string>()
  return (sql) => {
    const known = remembered.get(sql)
    if (known !== undefined) return known
    const made = numbered(sql)
    if (remembered.size < rememberedMax) remembered.set(sql, made)
    return made
  }
}

/** Any number that no other program uses for its advisory locks, beside the hash of a name. */
const lockSpace = 7_041_101

const foreignKeys = `SELECT child.relname AS "table", col.attname AS "column", parent.relname AS "parent",
    CASE fk.confdeltype WHEN 'r' THEN 'RESTRICT' WHEN 'a' THEN 'NO ACTION' WHEN 'c' THEN 'CASCADE'
      ELSE 'SET NULL' END AS "onDelete"
  FROM pg_constraint AS fk
    JOIN pg_class AS child ON child.oid = fk.conrelid
    JOIN pg_class AS parent ON parent.oid = fk.confrelid
    JOIN pg_attribute AS col ON col.attrelid = fk.conrelid AND col.attnum = fk.conkey[1]
  WHERE fk.contype = 'f' AND child.relnamespace = current_schema()::regnamespace`

const member = (json: string, name: string) => `presence_json(${json}) -> '${name}'`

export const postgres: Dialect = {
  name: "postgres",
  text: makeText(),
  millisOf: (column) => `coalesce("${column}", 0)`,
  larger: (a, b) => `greatest(${a}, ${b})`,
  isTrue: (column) => `"${column}"`,
  isFalse: (column) => `NOT "${column}"`,
  isText: () => "TRUE",
  indexedBy: () => "",
  keyOf: (table) => `${table}_pkey`,
  joinInOrder: "JOIN",
  // A text of a request that no row can hold fails here, and is not taken for a hint that cannot be read.
  textsIn: (json, name) =>
    name === undefined
      ? `SELECT json_array_elements_text(${json}::json) AS "value"`
      : `SELECT jsonb_array_elements_text(${member(json, name)}) AS "value"`,
  pairsIn: (json, text, number) => `SELECT "pair" ->> 0 AS "${text}", ("pair" ->> 1)::bigint AS "${number}"
    FROM jsonb_array_elements(presence_json(${json})) AS "pair"`,
  hasMember: (json, name) => `${member(json, name)} IS NOT NULL`,
  objectOf: (name, json) => `json_build_object('${name}', ${json})::text`,
  arrayOf: (column, order) =>
    `coalesce(json_agg("${column}"${order === undefined ? "" : ` ORDER BY "${order}"`}), '[]')`,
  rowAddress: "ctid",
  foreignKeys,
  findColumn: `SELECT 1 AS "found" FROM information_schema.columns
    WHERE "table_schema" = current_schema() AND "table_name" = ? AND "column_name" = ?`,
  lockingRow: "FOR UPDATE",
  // What a write that numbers a change locks first, too.
  accountTurn: `SELECT 1 FROM "Account" WHERE "id" = ? FOR NO KEY UPDATE`,
  inTurn: (name) =>
    Write.map(Write.statement(`SELECT pg_advisory_xact_lock(${lockSpace}, hashtext(?))`, [name]), () => undefined),
  usage: UsageWords.postgres
}
