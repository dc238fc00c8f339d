/** Machines that another happier light server revoked: they stay revoked. */
import type Sqlite from "better-sqlite3"
import type { SchemaShape } from "./SchemaShape.ts"
import { isIn, revocation } from "./SharedColumn.ts"

const table = revocation.ownTable

/** The statement that copies into our table the revocations that it lacks. `undefined` when it lacks none. */
export const addition = (sqlite: Sqlite.Database, file: SchemaShape): string | undefined => {
  if (!isIn(file, revocation)) return undefined
  const unknown = file.tables.has(table) ? ` AND "id" NOT IN (SELECT "machineId" FROM "${table}")` : ""
  const revoked = `FROM "Machine" WHERE "revokedAt" IS NOT NULL${unknown}`
  if (sqlite.prepare(`SELECT 1 ${revoked} LIMIT 1`).get() === undefined) return undefined
  return `INSERT INTO "${table}" ("machineId", "revokedAt") SELECT "id", "revokedAt" ${revoked}`
}
