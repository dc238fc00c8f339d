/**
 * Goal: a server that is started without `HOME` finds its directory or reports which variable to set.
 * Method: the environment of a unit file or of a container, with and without a directory, as the user of the test and
 * as one that the system has no entry for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import { fileURLToPath } from "node:url"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const main = fileURLToPath(new URL("../../../light-server/dist/bundle/main.js", import.meta.url))

/** A user id that no system assigns, and no container that is built with a user of its own. */
const nobodysId = 54_321

const stranger = { uid: nobodysId, gid: nobodysId }

const invoke = (
  args: ReadonlyArray<string>,
  environment: Readonly<Record<string, string>>,
  user: { readonly uid?: number; readonly gid?: number } = {}
) =>
  spawnSync(process.execPath, [main, ...args], {
    cwd: os.tmpdir(),
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...environment },
    timeout: 30_000,
    ...user
  })

/** Why nothing can be run here as a user that the system does not know. */
const withoutStranger = (): string | undefined => {
  if (process.getuid?.() !== 0) return "only root may become another user"
  const { status } = spawnSync(process.execPath, [main, "version"], { ...stranger, cwd: os.tmpdir(), timeout: 30_000 })
  return status === 0 ? undefined : "another user may not read Node or the server here"
}

describe("a server without HOME", () => {
  it("keeps its data in the home directory that the system knows", () => {
    const { status, stderr, stdout } = invoke(["config", "print", "--json"], {})
    assert.strictEqual(status, 0, stderr)
    const expected = path.join(os.userInfo().homedir, ".happier/server-light")
    assert.strictEqual(JSON.parse(stdout).resolved.dataDirectory, expected)
    // A unit file with `HOME=` means the same.
    assert.strictEqual(
      JSON.parse(invoke(["config", "print", "--json"], { HOME: "" }).stdout).resolved.dataDirectory,
      expected
    )
  })

  it.scopedLive(
    "serves from the directory that it is given",
    () =>
      Effect.gen(function* () {
        const server = yield* ServerProcess.start({ environment: { HOME: "" } })
        const url = yield* server.url
        assert.strictEqual((yield* ServerProcess.request(`${url}/readyz`)).status, 200)
        yield* server.kill("SIGTERM")
        assert.strictEqual(yield* server.exitCode, 0)
        assert.isTrue(fs.existsSync(server.databaseFile))
      }),
    60_000
  )

  it("reports what to set when the system has no such user, and needs nothing more", (context) => {
    const reason = withoutStranger()
    if (reason !== undefined) return context.skip(reason)
    const homeless = invoke([], {}, stranger)
    assert.strictEqual(homeless.status, 3, homeless.stderr)
    assert.include(homeless.stderr, "set it to an absolute path, or set HOME")
    assert.notInclude(homeless.stderr, "    at ")
    const given = invoke(["config", "print", "--json"], { HAPPIER_SERVER_LIGHT_DATA_DIR: "/data" }, stranger)
    assert.strictEqual(given.status, 0, given.stderr)
    assert.strictEqual(JSON.parse(given.stdout).resolved.dataDirectory, "/data")
  })

  it.scoped("reports what to set when the home directory cannot be written to", (context) =>
    Effect.gen(function* () {
      const reason = withoutStranger()
      if (reason !== undefined) return context.skip(reason)
      const home = yield* TemporaryDirectory.make
      fs.chmodSync(home, 0o755)
      const { status, stderr } = invoke([], { HOME: home }, stranger)
      assert.strictEqual(status, 4, stderr)
      assert.include(stderr, "set HAPPIER_SERVER_LIGHT_DATA_DIR to a directory that this user may write to")
    })
  )
})
