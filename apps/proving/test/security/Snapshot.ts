/**
 * The whole file as rows, to compare before with after.
 */
import type { Server } from "../../src/drivers/BuiltServer.ts"

/** Bytes as hex: the text of a row is searched for ids and keys. */
const textOf = (table: string, row: Readonly<Record<string, unknown>>): string => {
  const columns = Object.entries(row).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value
  ])
  return `${table} ${JSON.stringify(Object.fromEntries(columns))}`
}

/** Every row of every table, as `table {columns}`. The heartbeat of the server itself is left out. */
export const take = (server: Server): ReadonlyArray<string> =>
  server
    .rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .map(({ name }) => String(name))
    .filter((name) => name !== "ServerHeartbeat")
    .flatMap((name) => server.rows(`SELECT * FROM "${name}" ORDER BY 1`).map((row) => textOf(name, row)))

/** The rows that contain one of the texts. */
export const about = (rows: ReadonlyArray<string>, texts: ReadonlyArray<string>): ReadonlyArray<string> =>
  rows.filter((row) => texts.some((text) => row.includes(text)))
