/** Bundles the simulation, with its planted bug if there is one, and runs the bundle in this process. */
import * as fs from "node:fs"
import { pathToFileURL } from "node:url"
import * as Bundle from "./Bundle.ts"
import * as Options from "./Options.ts"

if (process.argv.includes("--help") || process.argv.includes("-h")) {
  process.stdout.write(Options.usage)
  process.exit(0)
}

const optionsOrUsage = (): Options.Options => {
  try {
    return Options.parse(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${Options.usage}`)
    process.exit(2)
  }
}

const { mutant } = optionsOrUsage()
const bundle = await Bundle.make(mutant)
process.on("exit", () => fs.rmSync(bundle, { force: true }))
await import(pathToFileURL(bundle).href)
