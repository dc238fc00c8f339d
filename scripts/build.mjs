/**
 * `npm run build`: the compiler on everything, tests included, and the bundle
 * that an operator starts and the process tests run.
 */
import { bundle } from "./bundle.mjs"
import { compile, install, root } from "./setup.mjs"

await install()
const { exitCode, output } = await compile(["-b"])
process.stdout.write(output)
if (exitCode === 0) await bundle(root)
process.exit(exitCode)
