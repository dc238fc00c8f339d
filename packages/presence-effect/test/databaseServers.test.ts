/**
 * Goal: a run whose tests fail ends with a code that says so, also when it started a database server.
 * Method: the setup of a run in a process of its own that has failed.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

const require = createRequire(import.meta.url)
const setup = new URL("support/databaseServers.ts", import.meta.url).href

const program = `
  import setup from ${JSON.stringify(setup)}
  const provided = []
  const stop = await setup({ provide: (name, url) => provided.push([name, url !== undefined]) })
  console.log(JSON.stringify(provided))
  await stop()
  process.exitCode = 3
`

describe("databaseServers", () => {
  for (const [server, name] of [
    ["embedded", "its own server"],
    ["", "the server that answers"]
  ] as const) {
    it(`keeps the exit code of a failed run with ${name}`, () => {
      const tsx = pathToFileURL(require.resolve("tsx")).href
      const { output, status } = spawnSync(
        process.execPath,
        ["--import", tsx, "--input-type=module", "--eval", program],
        { encoding: "utf8", env: { ...process.env, TEST_POSTGRES: server, REQUIRE_SERVICES: "" } }
      )
      assert.include(output.join(""), '["postgresUrl",true]')
      assert.strictEqual(status, 3)
    })
  }
})
