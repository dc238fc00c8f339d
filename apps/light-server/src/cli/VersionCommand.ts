/**
 * `version`: which program this is, and what it runs on.
 *
 * @since 0.1.0
 */
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import { version } from "../Version.ts"

const surroundings = () => ({
  version,
  node: process.versions.node,
  sqlite: SqliteVersion.linked(),
  platform: process.platform
})

/**
 * What the command prints.
 *
 * @category conversions
 * @since 0.1.0
 */
export const render = (isJson: boolean): string => (isJson ? `${JSON.stringify(surroundings())}\n` : `${version}\n`)
