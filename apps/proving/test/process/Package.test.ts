/**
 * Goal: the package of the server is all that an operator needs: it runs from an empty folder, with files of any owner,
 * also where nothing of it may be written.
 * Method: it is packed and installed with npm into a folder of the test.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as InstalledPackage from "../../src/drivers/InstalledPackage.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const root = path.resolve(import.meta.dirname, "../../../..")
const { name } = InstalledPackage

const bytesOf = (folder: string): number =>
  fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + fs.statSync(path.join(entry.parentPath, entry.name)).size, 0)

/** A server of the package: the driver starts it instead of the built one. */
const through = (program: ReadonlyArray<string>) => ["/bin/sh", "-c", `exec ${program.join(" ")} serve`, "sh"]

const serves = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    yield* server.start
    const device = yield* Device.login(server.url, Client.make())
    const { status } = yield* Effect.orDie(device.post("/v1/machines", { id: "m", metadata: "m" }))
    assert.strictEqual(status, 200)
    // The page, and the client that was copied beside it.
    for (const file of ["", "/status.js", "/socket.io.js"]) {
      const page = yield* Effect.orDie(Device.request(`${server.url}/status${file}`))
      assert.strictEqual(page.status, 200, file)
    }
    const { code } = yield* server.end("SIGTERM")
    assert.strictEqual(code, 0)
  })

describe("the package", () => {
  it.scopedLive(
    "installs with little, and serves from an empty folder, read-only and for a foreign user",
    () =>
      Effect.gen(function* () {
        const { command, home, prefix } = yield* InstalledPackage.make
        assert.isBelow(bytesOf(home), 120_000_000)
        const dependencies = fs.readdirSync(path.join(home, "node_modules"))
        for (const tool of ["typescript", "esbuild", "vitest", "tsx", "effect"]) assert.notInclude(dependencies, tool)
        for (const file of [
          "LICENSE",
          "CHANGELOG.md",
          "THIRD-PARTY-LICENSES.txt",
          "docs/operations.md",
          "deploy/Caddyfile"
        ])
          assert.isTrue(fs.existsSync(path.join(home, file)), file)
        assert.match(fs.readFileSync(path.join(home, "THIRD-PARTY-LICENSES.txt"), "utf8"), /^fastify \d.*\(MIT\)$/m)

        const version = JSON.parse(
          execFileSync(command, ["version", "--json"], { cwd: "/", encoding: "utf8" })
        ) as object
        assert.include(version, { version: "0.1.0" })
        assert.match(execFileSync(command, ["--help"], { encoding: "utf8" }), /^Usage: happier-light-server \[/)
        yield* serves(yield* BuiltServer.make({}, { through: through([command]) }))

        if (process.getuid?.() !== 0) return
        // Of another user than the one who runs it, who may read and not write: the data directory is all it writes.
        execFileSync("chmod", ["-R", "a+rX,a-w", prefix])
        execFileSync("chmod", ["a+rx", path.dirname(prefix), prefix])
        const directory = path.join(yield* TemporaryDirectory.make, "data")
        fs.mkdirSync(directory, { mode: 0o700 })
        fs.chmodSync(path.dirname(directory), 0o755)
        fs.chownSync(directory, 65_534, 65_534)
        const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", command]
        yield* serves(yield* BuiltServer.make({}, { directory, through: through(asNobody) }))
        assert.strictEqual(fs.statSync(path.join(directory, "happier-server-light.sqlite")).uid, 65_534)
      }),
    240_000
  )

  it("has a command that a clone runs as well, and that says what is missing before the first build", () => {
    const args = ["--no-install", name, "version"]
    const inClone = spawnSync("npx", args, { cwd: root, encoding: "utf8" })
    assert.deepStrictEqual([inClone.status, inClone.stdout], [0, "0.1.0\n"])
    const help = spawnSync("npx", ["--no-install", name, "--help"], { cwd: root, encoding: "utf8" })
    assert.match(help.stdout, /^Usage: npx --no-install happier-light-server \[/)
  })

  it.scopedLive("says in a clone that is not built what to do", () =>
    Effect.gen(function* () {
      const folder = yield* TemporaryDirectory.make
      const file = path.join(folder, "bin/happier-light-server.mjs")
      fs.cpSync(path.join(root, "apps/light-server/bin"), path.dirname(file), { recursive: true })
      const { status, stderr } = spawnSync(process.execPath, [file, "serve"], { encoding: "utf8" })
      assert.strictEqual(status, 1)
      assert.include(stderr, "npm run build")
    })
  )

  it("is not what npm pack would make of the workspace, which is refused with the right command", () => {
    const { status, stderr } = spawnSync("npm", ["pack", "--workspace", "apps/light-server", "--dry-run"], {
      cwd: root,
      encoding: "utf8"
    })
    assert.notStrictEqual(status, 0)
    assert.include(stderr, "npm run pack")
  })
})
