/**
 * `version`: which program this is, and what it runs on.
 *
 * @since 0.1.0
 */
import Sqlite from "better-sqlite3"
import { version } from "../Version.ts"

const sqliteVersion = (): string => {
  const sqlite = new Sqlite(":memory:")
  try {
    return String(sqlite.prepare("SELECT sqlite_version()").pluck().get())
  } finally {
    sqlite.close()
  }
}

const surroundings = () => ({
  version,
  node: process.versions.node,
  sqlite: sqliteVersion(),
  platform: process.platform
})

/**
 * What the command prints.
 *
 * @category conversions
 * @since 0.1.0
 */
export const render = (isJson: boolean): string => (isJson ? `${JSON.stringify(surroundings())}\n` : `${version}\n`)
