/**
 * `npm run faults`: installs and builds what is missing, then does to the built
 * server what happens to servers, and looks whether it keeps its promises.
 * Arguments choose: `npm run faults -- --quick`, `npm run faults -- F1 F15`.
 */
import path from "node:path"
import { build, install, root, run } from "./setup.mjs"

await install()
await build()

const main = path.join(root, "apps/proving/src/faults/main.ts")
const args = ["--conditions=source", "--import", "tsx", main, ...process.argv.slice(2)]
const { exitCode } = await run(process.execPath, args, { cwd: root, inherit: true })
process.exit(exitCode)
