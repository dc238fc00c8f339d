/**
 * `npm start`: installs and builds what is missing, then becomes the light
 * server. The server runs in this very process, so a SIGTERM or a Ctrl-C
 * reaches its own shutdown. The npm script says `exec` for the same reason: a
 * shell in between would die of the signal and leave the server behind.
 */
import path from "node:path"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { build, install, root, say } from "./setup.mjs"

await install()
await build()

const main = path.join(root, "apps/light-server/dist/bundle/main.js")
const args = process.argv.slice(2)
say(`starting ${path.relative(root, main)} ${args.join(" ")}`.trimEnd())
process.argv.splice(1, process.argv.length, main, ...args)
await import(pathToFileURL(main).href)

/**
 * npm passes on a signal that a terminal or systemd has sent to both of us, so
 * one request to stop can arrive twice, and a default handler would take the
 * second for a kill. Only whoever asks again after a while means that.
 */
let askedAt
const bePatient = (signal) => {
  askedAt ??= performance.now()
  if (performance.now() - askedAt > 2_000) process.exit(signal === "SIGINT" ? 130 : 143)
}
for (const signal of ["SIGINT", "SIGTERM"]) {
  if (process.listenerCount(signal) > 0) process.on(signal, bePatient)
}
