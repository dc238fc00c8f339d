/**
 * `npm run bench`: installs and builds what is missing, then measures the built
 * library and the built server. Arguments are those of apps/proving/src/bench/main.ts:
 * `npm run bench -- T3 --json results.json`, `npm run bench -- --help`.
 */
import { build, install, run } from "./setup.mjs"

const args = process.argv.slice(2)
await install()
if (!args.includes("--help")) await build()
// Compiling anew takes less time than anybody notices, and a cache would be left behind.
const env = { ...process.env, TSX_DISABLE_CACHE: "1" }
const { exitCode } = await run(process.execPath, ["--import", "tsx", "apps/proving/src/bench/main.ts", ...args], {
  env,
  inherit: true
})
process.exit(exitCode)
