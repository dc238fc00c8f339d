/** `version`: which program this is, and what it runs on. */
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import { version } from "../Version.ts"

const surroundings = () => ({
  version,
  node: process.versions.node,
  sqlite: SqliteVersion.linked(),
  platform: process.platform
})

/** What the command prints. */
export const render = (isJson: boolean): string => (isJson ? `${JSON.stringify(surroundings())}\n` : `${version}\n`)
