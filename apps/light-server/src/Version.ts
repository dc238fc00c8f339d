/** Which program this is, and what it runs on. */
import fs from "node:fs"

/** The manifest of this program: above the sources, above what is built of them, and above the bundle. */
const manifestAbove = (folder: URL): { readonly version: string } => {
  const file = new URL("package.json", folder)
  if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, "utf8")) as { readonly version: string }
  const above = new URL("../", folder)
  return above.href === folder.href ? { version: "0.0.0" } : manifestAbove(above)
}

/** Version of this program, from its package. */
export const version: string = manifestAbove(new URL("./", import.meta.url)).version
