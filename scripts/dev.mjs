/**
 * `npm run dev`: rebuilds on every change and restarts the light server. One
 * Ctrl-C ends both. Arguments go to the server.
 */
import path from "node:path"
import { build, compile, install, root, run, say, shipped } from "./setup.mjs"

await install()
await build()

const main = path.join(root, "apps/light-server/dist/main.js")
const server = ["--watch", "--watch-preserve-output", main, ...process.argv.slice(2)]
say("watching the sources; Ctrl-C ends the compiler and the server")
await Promise.race([
  compile(["-b", "--watch", "--preserveWatchOutput", ...shipped], { inherit: true }),
  run(process.execPath, server, { inherit: true })
])
process.exit(1)
