/**
 * How a database of another happier light server becomes one that this server can serve: by additions alone.
 *
 * A plan is a value. Whatever the database has in addition stays as it is: tables and columns we do not know, and
 * constraints of its own.
 */
import * as Either from "effect/Either"
import type { Column, Index, SchemaShape, Table } from "./SchemaShape.ts"
import { quoted } from "./SchemaShape.ts"
import { essentialTables, isNeeded, namedIndexes, type ServerSchema } from "./ServerSchema.ts"

/** One statement that adds something and changes nothing else. */
export interface Addition {
  /** What it adds, such as `index presence_Session_active_lastActiveAt_idx`. */
  readonly adds: string
  readonly sql: string
}

/** A plan, and the unique indexes in it, which existing rows may violate. */
export interface AdoptionPlan {
  readonly additions: ReadonlyArray<Addition>
  readonly uniqueIndexes: ReadonlyArray<Index>
}

type Affinity = "integer" | "text" | "blob" | "real" | "numeric"

/** The affinity rules of SQLite, in their order. */
const affinityOf = (type: string): Affinity => {
  if (type.includes("INT")) return "integer"
  if (/CHAR|CLOB|TEXT/.test(type)) return "text"
  if (type === "" || type.includes("BLOB")) return "blob"
  return /REAL|FLOA|DOUB/.test(type) ? "real" : "numeric"
}

/** Whether our values come back from their column as they were written. */
const fits = (ours: string, theirs: string): boolean => {
  const affinity = affinityOf(theirs)
  if (ours.startsWith("JSON")) return affinity === "text" || theirs.startsWith("JSON")
  const expected = affinityOf(ours)
  return expected === "integer" || expected === "numeric"
    ? affinity === "integer" || affinity === "numeric"
    : affinity === expected
}

const isAddable = ({ fallback, isKey, isRequired }: Column): boolean =>
  !isKey && (isRequired ? fallback !== undefined && !/^(\(|CURRENT_)/i.test(fallback) : true)

const addColumn = (table: Table, { fallback, isRequired, name, type }: Column): Addition => {
  const reference = table.references.find(({ column }) => column === name)
  const words = [
    `ALTER TABLE ${quoted(table.name)} ADD COLUMN ${quoted(name)} ${type}`,
    ...(isRequired ? ["NOT NULL"] : []),
    ...(fallback === undefined ? [] : [`DEFAULT ${fallback}`]),
    ...(reference === undefined
      ? []
      : [
          `REFERENCES ${quoted(reference.table)} (${quoted(reference.parentColumn)})`,
          `ON DELETE ${reference.onDelete} ON UPDATE ${reference.onUpdate}`
        ])
  ]
  return { adds: `column ${table.name}.${name}`, sql: words.join(" ") }
}

/** The difference between a table of theirs and ours: additions, or reasons why it cannot be served. */
const compareTable = (ours: Table, theirs: Table) => {
  const additions: Array<Addition> = []
  const reasons: Array<string> = []
  for (const column of ours.columns) {
    const name = `${ours.name}.${column.name}`
    const found = theirs.columns.find((candidate) => candidate.name === column.name)
    if (found === undefined) {
      if (!isNeeded(ours.name, column.name)) continue
      if (isAddable(column)) additions.push(addColumn(ours, column))
      else reasons.push(`${name} is missing`)
    } else if (!fits(column.type, found.type)) {
      reasons.push(`${name} is declared ${found.type === "" ? "without a type" : found.type}, not ${column.type}`)
    } else if (found.isGenerated) {
      reasons.push(`${name} is computed and cannot be written`)
    }
  }
  for (const column of theirs.columns) {
    const isKnown = ours.columns.some(({ name }) => name === column.name)
    if (!isKnown && column.isRequired && column.fallback === undefined && !column.isGenerated) {
      reasons.push(`${ours.name}.${column.name} must be filled in and has no default, and this server does not know it`)
    }
  }
  const keys = [ours, theirs].map(({ columns }) => columns.filter(({ isKey }) => isKey).map(({ name }) => name))
  if (String(keys[0]) !== String(keys[1])) {
    reasons.push(`${ours.name} has the primary key (${keys[1]?.join(", ")}), not (${keys[0]?.join(", ")})`)
  }
  return { additions, reasons }
}

/** Conditions are compared without spaces and quotes, because SQLite keeps the original text. */
const condition = (where: string | undefined): string => (where ?? "").replace(/["\s]/g, "").toLowerCase()

const serves = (theirs: Index, ours: Index): boolean =>
  theirs.table === ours.table &&
  (theirs.isUnique || !ours.isUnique) &&
  String(theirs.columns) === String(ours.columns) &&
  condition(theirs.where) === condition(ours.where)

const ifNotExists = (sql: string): string =>
  sql.replace(/^CREATE (TABLE|(?:UNIQUE )?INDEX) /i, "CREATE $1 IF NOT EXISTS ")

const compareIndexes = (schema: ServerSchema, file: SchemaShape) => {
  const additions: Array<Addition> = []
  const reasons: Array<string> = []
  const uniqueIndexes: Array<Index> = []
  for (const index of schema.indexes) {
    const { name, sql, table } = index
    const theirs = file.tables.get(table)
    const isLacking = (column: string) =>
      theirs !== undefined && !isNeeded(table, column) && !theirs.columns.some(({ name }) => name === column)
    if (sql === undefined || index.columns.some(isLacking)) continue
    if (file.indexes.some((found) => serves(found, index) && (found.name === name || !namedIndexes.has(name)))) continue
    const namesake = file.indexes.find((found) => found.name === name)
    if (namesake !== undefined) {
      reasons.push(
        `index ${name} is over ${namesake.table} (${namesake.columns.join(", ")}), not as this server needs it`
      )
      continue
    }
    additions.push({ adds: `index ${name}`, sql: ifNotExists(sql) })
    if (index.isUnique && theirs !== undefined) uniqueIndexes.push(index)
  }
  return { additions, reasons, uniqueIndexes }
}

/**
 * Compares what the server needs with what a file has. Answers with the additions, in the order in which they are
 * made, or with every reason why the file cannot be served.
 */
export const make = (schema: ServerSchema, file: SchemaShape): Either.Either<AdoptionPlan, ReadonlyArray<string>> => {
  const tables = Array.from(schema.tables.values(), (ours) => {
    const theirs = file.tables.get(ours.name)
    if (theirs !== undefined) return compareTable(ours, theirs)
    return essentialTables.includes(ours.name)
      ? { additions: [], reasons: [`table ${ours.name} is missing`] }
      : { additions: [{ adds: `table ${ours.name}`, sql: ifNotExists(ours.sql) }], reasons: [] }
  })
  const indexes = compareIndexes(schema, file)
  const compared = [...tables, indexes]
  const reasons = compared.flatMap(({ reasons }) => reasons)
  return reasons.length > 0
    ? Either.left(reasons)
    : Either.right({
        additions: compared.flatMap(({ additions }) => additions),
        uniqueIndexes: indexes.uniqueIndexes
      })
}
