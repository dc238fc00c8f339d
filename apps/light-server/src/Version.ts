/** Which program this is, and what it runs on. */
import { createRequire } from "node:module"

// By its name, not by a path: in the bundle this code is in a deeper directory.
const manifest: { readonly version: string } = createRequire(import.meta.url)("light-server/package.json")

/** Version of this program, from its package. */
export const version: string = manifest.version
