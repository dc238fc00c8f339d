import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import fs from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"

const root = fileURLToPath(new URL("../../../..", import.meta.url))

/** The commands a reader pastes, in order: after the start of the server, before the daemon that never ends. */
const session = () => {
  const readme = fs.readFileSync(`${root}README.md`, "utf8")
  const [section = ""] = readme.split("## A first session\n").slice(1).join("").split("\n## ")
  const blocks = Array.from(section.matchAll(/```sh\n([\s\S]*?)\n```/g), ([, block = ""]) => block)
  return { start: blocks[0], commands: blocks.slice(1, -1), daemon: blocks.at(-1) }
}

describe("README.md", () => {
  it.scopedLive(
    "shows a first session that works when it is pasted",
    () =>
      Effect.gen(function* () {
        const { commands, daemon, start } = session()
        assert.include(start, "npm start")
        assert.include(daemon, "examples/daemon.mjs")
        assert.strictEqual(commands.length, 4)
        const server = yield* BuiltServer.start({
          HAPPIER_PRESENCE_DISCONNECT_GRACE_MS: "1000",
          HAPPIER_PRESENCE_START_GRACE_MS: "1000"
        })
        const script = commands.join("\n").replaceAll("http://127.0.0.1:3005", server.url)
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)("bash", ["-euo", "pipefail", "-c", script], { cwd: root, timeout: 30_000 })
        )
        assert.match(
          stdout,
          /\{"machine":\{"id":"[0-9a-f-]{36}","metadata":"bXkgbGFwdG9w","metadataVersion":1,.*"active":false/
        )
        assert.include(
          stdout,
          "the app sees machine-activity, active: true\nthe app sees machine-activity, active: false"
        )
        assert.include(stdout, '{"status":"ready","checks":[')
      }),
    60_000
  )
})
