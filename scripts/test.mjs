/**
 * `npm test`: installs and builds what is missing, then runs every test.
 * Arguments go to Vitest: `npm test -- --project presence-effect Lane`.
 */
import { build, install, root, run, say, tool } from "./setup.mjs"

await install()
await build()

const args = ["run", ...process.argv.slice(2)]
say(`vitest ${args.join(" ")}`)
const { exitCode } = await run(tool("vitest"), args, { cwd: root, inherit: true })
process.exit(exitCode)
