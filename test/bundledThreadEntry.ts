/** In tests, in the place of `threadEntry` of the library. */
import { pathToFileURL } from "node:url"

const bundled = process.env["BUNDLED_THREAD_ENTRY"]
if (bundled === undefined) throw new Error("test/bundledThread.ts has not run")

export const entry = pathToFileURL(bundled)
