/**
 * `npm run api`: writes the public surface of presence-effect to
 * `test/public-api.txt`. Review the difference like any other change.
 */
import { install, run, tool } from "./setup.mjs"

await install()
const { exitCode } = await run(tool("vitest"), ["run", "--project", "repo", "PublicApi"], {
  env: { ...process.env, UPDATE_PUBLIC_API: "1" },
  inherit: true
})
process.exit(exitCode)
