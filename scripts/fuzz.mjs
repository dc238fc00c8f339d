/**
 * `npm run fuzz`: installs and builds what is missing, then sends inputs to
 * every route and event of the built server, until one is not answered as the
 * protocol says. `npm run fuzz -- --inputs 100000`, `npm run fuzz -- --seed 4711`.
 */
import { parseArgs } from "node:util"
import { build, install, root, run, tool } from "./setup.mjs"

const whole = (name, text) => {
  if (/^\d{1,10}$/.test(text)) return text
  console.error(`--${name} is ${text}; it is a number without a sign`)
  process.exit(2)
}

const { values } = parseArgs({ options: { inputs: { type: "string", default: "100000" }, seed: { type: "string" } } })

await install()
await build()

const env = {
  ...process.env,
  FUZZ_INPUTS: whole("inputs", values.inputs),
  ...(values.seed === undefined ? {} : { FUZZ_SEED: whole("seed", values.seed) })
}
const args = ["run", "--silent=false", "--project", "proving", "test/security/Fuzz.test.ts"]
const { exitCode } = await run(tool("vitest"), args, { cwd: root, env, inherit: true })
process.exit(exitCode)
