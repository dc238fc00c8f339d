/**
 * `npm run simulate`: the presence layer on virtual time, one world per seed, until one breaks a promise. Arguments go
 * to the simulation: `npm run simulate -- --seeds 10000`, `npm run simulate -- --seed 4711`.
 */
import path from "node:path"
import { install, root, run } from "./setup.mjs"

await install()

const start = path.join(root, "apps/proving/src/simulation/start.ts")
const args = ["--import", "tsx", start, ...process.argv.slice(2)]
const { exitCode } = await run(process.execPath, args, { cwd: root, inherit: true })
process.exit(exitCode)
