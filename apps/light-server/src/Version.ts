/** Which program this is, and what it runs on. */
import { createRequire } from "node:module"

// By its name, not by a path: this code also runs in a bundle, which lies deeper.
const manifest: { readonly version: string } = createRequire(import.meta.url)("light-server/package.json")

/** Version of this program, as its package says. */
export const version: string = manifest.version
