/**
 * Machines that another happier light server revoked. It keeps the time in a column of their rows, and this server in
 * a table of its own, so that later migrations of the other server find no column of theirs taken.
 */
import type Sqlite from "better-sqlite3"
import { Option, Schema } from "effect"
import { StoredTime } from "../database/StoredTime.ts"
import type { SchemaShape } from "./SchemaShape.ts"

const table = "PresenceMachineRevocation"

const hasColumn = (file: SchemaShape): boolean =>
  file.tables.get("Machine")?.columns.some(({ name }) => name === "revokedAt") === true

/** The statement that copies into our table the revocations that it lacks. `undefined` when it lacks none. */
export const addition = (sqlite: Sqlite.Database, file: SchemaShape): string | undefined => {
  if (!hasColumn(file)) return undefined
  const unknown = file.tables.has(table) ? ` AND "id" NOT IN (SELECT "machineId" FROM "${table}")` : ""
  const revoked = `FROM "Machine" WHERE "revokedAt" IS NOT NULL${unknown}`
  if (sqlite.prepare(`SELECT 1 ${revoked} LIMIT 1`).get() === undefined) return undefined
  return `INSERT INTO "${table}" ("machineId", "revokedAt") SELECT "id", "revokedAt" ${revoked}`
}

const decodeTime = Schema.decodeUnknownOption(StoredTime)

/** Copies the revocations of a file for the machines that were copied from it. A time that cannot be read becomes 0. */
export const copy = (source: Sqlite.Database, file: SchemaShape, target: Sqlite.Database): void => {
  if (!hasColumn(file)) return
  const insert = target.prepare(
    `INSERT INTO "${table}" ("machineId", "revokedAt") SELECT "id", ? FROM "Machine" WHERE "id" = ?`
  )
  const revoked = source.prepare(`SELECT "id", "revokedAt" FROM "Machine" WHERE "revokedAt" IS NOT NULL`)
  for (const [id, revokedAt] of revoked.raw().iterate() as Iterable<readonly [unknown, unknown]>) {
    insert.run(
      Option.getOrElse(decodeTime(revokedAt), () => 0),
      id
    )
  }
}
