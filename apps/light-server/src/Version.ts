/** Which program this is, and what it runs on. */
import fs from "node:fs"

interface Manifest {
  readonly name: string
  readonly version: string
}

/** The manifest of this program: above the sources, above what is built of them, and above the bundle. */
const manifestAbove = (folder: URL): Manifest => {
  const file = new URL("package.json", folder)
  if (fs.existsSync(file)) return JSON.parse(fs.readFileSync(file, "utf8")) as Manifest
  const above = new URL("../", folder)
  return above.href === folder.href ? { name: programName, version: "0.0.0" } : manifestAbove(above)
}

/** The name of this program: of its package, of its command, and at the beginning of what it prints. */
export const programName = "happier-light-server"

/** The command as it is typed where this program stands, by the name in its manifest. In a clone npm finds it. */
export const commandOf = (manifestName: string): string =>
  manifestName === programName ? programName : `npx --no-install ${programName}`

const manifest = manifestAbove(new URL("./", import.meta.url))

/** Version of this program, from its package. */
export const version: string = manifest.version

/** What a person types before the name of a command, such as `status`. */
export const command: string = commandOf(manifest.name)
