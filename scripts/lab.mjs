/**
 * `npm run lab`: installs and builds what is missing, then becomes the lab.
 * Everything after `--` goes to it, and `npm run lab -- --help` lists what there
 * is. The lab runs in this very process, so a Ctrl-C reaches it; the npm script
 * says `exec` for the same reason.
 */
import path from "node:path"
import { pathToFileURL } from "node:url"
import { build, install, root } from "./setup.mjs"

// What is said while building must not end up in the JSON that is printed.
console.log = console.error

await install()
await build()

const main = path.join(root, "apps/contention-lab/dist/src/main.js")
process.argv.splice(1, 1, main)
await import(pathToFileURL(main).href)
