/** The `--import` argument with which a process of Node runs TypeScript. */
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

export const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href
