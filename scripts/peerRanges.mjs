/**
 * `npm run prove -- peers`: the ranges of the peers are true. Installs the packed library twice in empty projects, with
 * the lowest and with the newest version that each range allows, and runs a host and the contract of the write
 * connection there.
 */
import { readFileSync } from "node:fs"
import path from "node:path"
import { checkTree, makeProject, npm, step, withPackedLibrary } from "./emptyProject.mjs"
import { root, run } from "./setup.mjs"

const { peerDependencies } = JSON.parse(readFileSync(path.join(root, "packages/presence-effect/package.json"), "utf8"))

/** The lowest version of a range such as `^0.60.0 || ^0.61.0`. */
const lowestOf = (range) => /\d+\.\d+\.\d+/.exec(range)[0]

/** Versions of better-sqlite3 from 13 on need Node 22. */
const newestOf = (name, range) =>
  name === "better-sqlite3" && Number.parseInt(process.versions.node, 10) < 22 ? range.split(" || ")[0] : range

const choices = {
  lowest: (_, range) => lowestOf(range),
  newest: newestOf
}

const host = `
import assert from "node:assert/strict"
import Database from "better-sqlite3"
import Fastify from "fastify"
import { describe, it } from "node:test"
import { Lane, PresenceTables, Write } from "presence-effect"
import * as FastifyPresence from "presence-effect/host/FastifyPresence"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as SqliteConnectionContract from "presence-effect/testing/SqliteConnectionContract"

SqliteConnectionContract.suite({ describe, it }, "SqliteThread", (filename, options) =>
  SqliteThread.make({ filename, ...options })
)

it("keeps a device online in Fastify", async () => {
  const kinds = { device: {} }
  const filename = "host.sqlite"
  const database = new Database(filename).exec(PresenceTables.ddl(kinds))
  const app = Fastify({ pluginTimeout: 60_000 })
  await app.register(FastifyPresence.plugin, { filename, kinds })
  await app.ready()
  await app.presence.write(Lane.control, Write.statement("INSERT INTO device (id) VALUES ('phone')"))
  assert.equal(app.presence.beat({ kind: "device", id: "phone" }, Date.now()), "online")
  await app.close()
  assert.deepEqual(database.prepare("SELECT id, active FROM device").all(), [{ id: "phone", active: 1 }])
})
`

const proveWith = async (name, folder, tarball) => {
  const versions = Object.entries(peerDependencies).map(([peer, range]) => [peer, choices[name](peer, range)])
  const project = path.join(folder, name)
  const dependencies = { "presence-effect": `file:${tarball}`, ...Object.fromEntries(versions) }
  // @effect/sql-sqlite-node asks for one driver, and the host chooses another: it says so once.
  const overrides = { "better-sqlite3": "$better-sqlite3" }
  console.log(`${name} peers`)
  makeProject(project, { "host.test.mjs": host }, { dependencies, overrides })
  await step("npm install", () => npm(project, ["install"]))
  const { output } = await npm(project, ["ls", ...Object.keys(peerDependencies), "--depth=0"])
  console.log(output.trimEnd().replace(/^/gm, "    "))
  await checkTree(project)
  await step("a Fastify host and the contract of the write connection", () =>
    run(process.execPath, ["--test", "host.test.mjs"], { cwd: project })
  )
}

/** Both ends unless `asked` names one. */
export const provePeers = (asked) => withPackedLibrary("peers", Object.keys(choices), asked, proveWith)
