/**
 * Times that another happier light server keeps in a column of a row, and this server in a table of its own, so that
 * later migrations of the other server find no column of theirs taken.
 */
import type Sqlite from "better-sqlite3"
import { Option, Schema } from "effect"
import { StoredTime } from "../database/StoredTime.ts"
import type { SchemaShape } from "./SchemaShape.ts"

/** A column of the other server, and the table that stands for it here. */
export interface SharedColumn {
  readonly table: string
  readonly column: string
  readonly ownTable: string
  /** Refers to the row. */
  readonly ownKey: string
}

/** Machines that may not come back. */
export const revocation: SharedColumn = {
  table: "Machine",
  column: "revokedAt",
  ownTable: "PresenceMachineRevocation",
  ownKey: "machineId"
}

/** Sessions that are archived. */
export const archive: SharedColumn = {
  table: "Session",
  column: "archivedAt",
  ownTable: "PresenceSessionArchive",
  ownKey: "sessionId"
}

export const isIn = (file: SchemaShape, { column, table }: SharedColumn): boolean =>
  file.tables.get(table)?.columns.some(({ name }) => name === column) === true

const decodeTime = Schema.decodeUnknownOption(StoredTime)

/**
 * Copies the times of a file for the rows that were copied from it. A time that cannot be read becomes 0. A file that
 * this server has served may have a time in both places: the column is newer.
 */
export const copy = (
  source: Sqlite.Database,
  file: SchemaShape,
  target: Sqlite.Database,
  shared: SharedColumn
): void => {
  if (!isIn(file, shared)) return
  const { column, ownKey, ownTable, table } = shared
  const insert = target.prepare(
    `INSERT INTO "${ownTable}" ("${ownKey}", "${column}") SELECT "id", ? FROM "${table}" WHERE "id" = ?
     ON CONFLICT ("${ownKey}") DO UPDATE SET "${column}" = excluded."${column}"`
  )
  const kept = source.prepare(`SELECT "id", "${column}" FROM "${table}" WHERE "${column}" IS NOT NULL`)
  for (const [id, time] of kept.raw().iterate() as Iterable<readonly [unknown, unknown]>) {
    insert.run(
      Option.getOrElse(decodeTime(time), () => 0),
      id
    )
  }
}
