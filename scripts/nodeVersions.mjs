/**
 * `npm run prove -- nodes`: the library's tests and the built server on every supported version of Node, with every
 * driver that this Node can have.
 *
 * Each version comes from the package `node` of the registry, with the headers that compile a driver for it. A copy of
 * this repository gets its dependencies by `npm ci` with that Node: better-sqlite3 12, as in the lock file. There the
 * library's tests run, and the bundled server starts, answers and ends.
 *
 * From Node 22 on, the same again with better-sqlite3 13, installed as the guide says: the packed library in an empty
 * project, with an override. What cannot run is skipped with the reason.
 */
import { spawn } from "node:child_process"
import { cpSync, existsSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"
import { makeProject, npm, step, StepFailed, withPackedLibrary } from "./emptyProject.mjs"
import { root, run } from "./setup.mjs"

const versions = ["20.19.0", "22", "24", "26"]

/** As in docs/install.md of the library. */
export const newestDriver = "13.2.0"

/** The first Node that better-sqlite3 13 runs on. */
export const newestDriverNode = 22

const majorOf = (version) => Number.parseInt(version, 10)

const contractTest = `
import { describe, it } from "node:test"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as SqliteConnectionContract from "presence-effect/testing/SqliteConnectionContract"

SqliteConnectionContract.suite({ describe, it }, "SqliteThread", (filename, options) =>
  SqliteThread.make({ filename, ...options })
)
`

/** A Node of the registry: its binary, and the folder with the headers that native code is compiled against. */
const installNode = async (version, folder) => {
  const home = path.join(folder, `node-${version}`)
  makeProject(home)
  const { output } = await npm(home, ["install", "--silent", `node@${version}`])
  const node = path.join(home, "node_modules/.bin/node")
  if (!existsSync(node)) throw new StepFailed(`npm install node@${version}\n${output}`)
  const { output: exact } = await run(node, ["-p", "process.versions.node"])
  // npm puts the package for this system where it finds room.
  const name = `node-${process.platform}-${process.arch}`
  const prefix = [`node/node_modules/${name}`, name]
    .map((place) => path.join(home, "node_modules", place))
    .find((place) => existsSync(path.join(place, "include/node")))
  return { bin: path.dirname(node), exact: exact.trim(), node, prefix }
}

/** What is built or installed elsewhere, and the history. `dist` comes along: it was built before this began. */
const left = new Set([".git", ".docgen", "node_modules", "site"])

const copyRepository = (folder) =>
  cpSync(root, folder, { recursive: true, filter: (source) => !left.has(path.basename(source)) })

/** Starts the server on a free port, asks whether it is ready, and ends it. */
const startServer = (folder, node) =>
  new Promise((resolve) => {
    const data = path.join(folder, "data")
    const env = { ...process.env, PORT: "0", HOST: "127.0.0.1", HAPPIER_SERVER_LIGHT_DATA_DIR: data }
    const main = path.join(folder, "apps/light-server/dist/bundle/main.js")
    const child = spawn(node, [main], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    let isAsked = false
    let isReady = false
    const limit = setTimeout(() => child.kill("SIGKILL"), 60_000)
    const read = async (chunk) => {
      output += chunk
      const [address] = /http:\/\/(?:127\.0\.0\.1|localhost):\d+/.exec(output) ?? []
      if (address === undefined || isAsked) return
      isAsked = true
      isReady = await fetch(`${address}/readyz`).then(
        ({ status }) => status === 200,
        () => false
      )
      child.kill("SIGTERM")
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    child.on("error", (error) => (output += error.message))
    child.on("close", (code) => {
      clearTimeout(limit)
      rmSync(data, { recursive: true, force: true })
      resolve({ exitCode: isReady && code === 0 ? 0 : 1, output: `${output}\nready: ${isReady}, exit code ${code}` })
    })
  })

/** What Vitest says it ran, on the line of the step. */
const withCount = (outcome) => {
  const [, count] = /^\s*Tests\s+(.*)$/m.exec(outcome.output) ?? []
  return count === undefined ? { ...outcome, exitCode: outcome.exitCode || 1 } : { ...outcome, detail: count.trim() }
}

/** Library and server with the driver that is in `copy`. */
const useDriver = async (copy, { exact, node }) => {
  const { version } = JSON.parse(readFileSync(path.join(copy, "node_modules/better-sqlite3/package.json"), "utf8"))
  console.log(`Node ${exact}, better-sqlite3 ${version}`)
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project=presence-effect", "--no-color"]
  await step("the library's tests", async () => withCount(await run(node, vitest, { cwd: copy })))
  await step("start, readiness and end of the light server", () => startServer(copy, node))
}

/** Why better-sqlite3 12 cannot be proved on this Node. */
const lockedDriverProblem = ({ exact, prefix }) => {
  const [major, minor] = exact.split(".").map(Number)
  if (major === 24 && minor >= 19) {
    return "it aborts the process when statements are collected as garbage, https://github.com/nodejs/node/issues/65446"
  }
  return prefix === undefined ? "the package of this Node brings no headers to compile it" : undefined
}

const proveLockedDriver = async (copy, chosen) => {
  const problem = lockedDriverProblem(chosen)
  if (problem !== undefined) return console.log(`skipped better-sqlite3 12 on Node ${chosen.exact}: ${problem}`)
  await step("better-sqlite3 12 as in the lock file, compiled for this Node", () =>
    npm(copy, ["rebuild", "better-sqlite3"], chosen)
  )
  await useDriver(copy, chosen)
}

const proveNewestDriver = async (copy, project, tarball, chosen) => {
  if (majorOf(chosen.exact) < newestDriverNode) {
    return console.log(
      `skipped better-sqlite3 ${newestDriver} on Node ${chosen.exact}: it needs Node ${newestDriverNode}`
    )
  }
  makeProject(project, { "contract.test.mjs": contractTest }, { overrides: { "better-sqlite3": newestDriver } })
  await step(`the tarball with better-sqlite3 ${newestDriver}, which compiles nothing`, () =>
    npm(project, ["install", tarball, "effect@3", "@effect/sql-sqlite-node"], chosen)
  )
  await step("contract of the write connection", () =>
    run(chosen.node, ["--test", "contract.test.mjs"], { cwd: project })
  )
  const driver = "node_modules/better-sqlite3"
  rmSync(path.join(copy, driver), { recursive: true })
  cpSync(path.join(project, driver), path.join(copy, driver), { recursive: true })
  await useDriver(copy, chosen)
}

const proveOn = async (version, folder, tarball) => {
  const chosen = await installNode(version, folder)
  const copy = path.join(folder, `copy-${version}`)
  copyRepository(copy)
  try {
    await step(`npm ci with Node ${chosen.exact}`, () => npm(copy, ["ci", "--ignore-scripts"], chosen))
    await proveLockedDriver(copy, chosen)
    await proveNewestDriver(copy, path.join(folder, `project-${version}`), tarball, chosen)
  } finally {
    // Half a gigabyte each.
    if (process.env.KEEP_PROJECTS === undefined) rmSync(copy, { recursive: true, force: true })
  }
}

/** Every supported version unless `asked` names some. */
export const proveNodes = (asked) => withPackedLibrary("nodes", versions, asked, proveOn)
