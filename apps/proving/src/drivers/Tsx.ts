/** How a process of Node is told to run TypeScript: `--import` of this. */
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

export const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
