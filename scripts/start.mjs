/**
 * `npm start`: installs and builds what is missing, then becomes the light server. The server runs in this very
 * process, so a SIGTERM or a Ctrl-C reaches its own shutdown. The npm script says `exec` for the same reason: a shell
 * in between would die of the signal and leave the server behind.
 */
import { existsSync } from "node:fs"
import path from "node:path"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { build, install, root, say, served } from "./setup.mjs"

const main = path.join(root, "apps/light-server/dist/bundle/main.js")
const args = process.argv.slice(2)

const isHelp = args.some((arg) => arg === "--help" || arg === "-h")
if (isHelp && !existsSync(main)) {
  console.log(`usage: npm start [-- arguments of the server]

Installs and builds what is missing, then runs the light server in this process.
The server is not built yet; after \`npm start\` or \`npm run build\`, its own arguments are listed here.`)
  process.exit(0)
}
if (!isHelp) {
  await install()
  await build(served)
  say(`starting ${path.relative(root, main)} ${args.join(" ")}`.trimEnd())
}
process.argv.splice(1, process.argv.length, main, ...args)
await import(pathToFileURL(main).href)

/**
 * npm passes on a signal that a terminal or systemd has sent to both processes, so one request to stop can arrive
 * twice, and a default handler would take the second for a kill. Only one that comes two seconds later means that.
 */
let askedAt
const bePatient = (signal) => {
  askedAt ??= performance.now()
  if (performance.now() - askedAt > 2_000) process.exit(signal === "SIGINT" ? 130 : 143)
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  if (process.listenerCount(signal) > 0) process.on(signal, bePatient)
}
