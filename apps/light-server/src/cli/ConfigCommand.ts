/** `config print`: the configuration as the server understands it. */
import { Effect } from "effect"
import * as ExitCode from "../ExitCode.ts"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as Program from "./Program.ts"

/** The configuration as JSON. A secret is shown as `<redacted>`, one that is not set is absent. */
export const render = ({ config }: ServerConfig.Loaded): string => `${JSON.stringify(config, undefined, 2)}\n`

const program = Effect.map(ServerConfig.load(process.env), (loaded) => {
  for (const warning of loaded.warnings) Program.complain(warning)
  process.stdout.write(render(loaded))
})

/** Prints and ends the process; warnings go to standard error. */
export const run = (): void =>
  Program.run(program, {
    shutdownTimeoutMillis: () => 1000,
    success: () => ExitCode.ok,
    interrupted: () => ExitCode.failure
  })
