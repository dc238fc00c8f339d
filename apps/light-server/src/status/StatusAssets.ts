/** The files of the page, read from the disk when they are first asked for. */
import fs from "node:fs/promises"
import { createRequire } from "node:module"
import path from "node:path"
import { fileURLToPath } from "node:url"

/** As far from the sources as from what is built of them. */
const directory = fileURLToPath(new URL("../../web/status/", import.meta.url))

export interface Asset {
  readonly type: string
  readonly bytes: Buffer
}

const types: { readonly [extension: string]: string } = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml"
}

/** The page itself. */
export const page = "index.html"

/** What the page loads, and nothing else. */
export const names: ReadonlyArray<string> = [
  "status.css",
  "status.js",
  "patch.js",
  "view.js",
  "socket.io.js",
  "icon.svg"
]

/** The client of socket.io lies with the page in a package, and with its server in a clone. */
const readClient = async (): Promise<Buffer> => {
  try {
    return await fs.readFile(path.join(directory, "socket.io.js"))
  } catch {
    const manifest = createRequire(import.meta.url).resolve("socket.io/package.json")
    return fs.readFile(path.join(path.dirname(manifest), "client-dist/socket.io.esm.min.js"))
  }
}

const known = new Map<string, Promise<Asset>>()

/** `name` is `page` or one of `names`. Rejects when the file is missing from this installation. */
export const read = (name: string): Promise<Asset> => {
  const found = known.get(name)
  if (found !== undefined) return found
  const bytes = name === "socket.io.js" ? readClient() : fs.readFile(path.join(directory, name))
  const asset = bytes.then((bytes) => ({ bytes, type: types[path.extname(name)] ?? "application/octet-stream" }))
  known.set(name, asset)
  asset.catch(() => known.delete(name))
  return asset
}
