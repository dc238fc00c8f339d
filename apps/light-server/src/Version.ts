/**
 * Which program this is, and what it runs on.
 *
 * @since 0.1.0
 */
import { readFileSync } from "node:fs"

/**
 * Version of this program, as its package says.
 *
 * @category constants
 * @since 0.1.0
 */
export const version: string = String(
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version
)
