/**
 * `npm run prove -- nodes`: the packed library and the built server on every supported version of Node.
 *
 * Each version comes from the package `node` of the registry. The library is installed from its tarball in an empty
 * project, where the contract of the write connection runs. The bundled server starts, answers and ends.
 *
 * Up to Node 21 the driver is that of the lock file, compiled where no ready-made binary can be fetched. From Node 22
 * on it is better-sqlite3 13, whose binaries are in its package: nothing is compiled.
 */
import { spawn } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { makeProject, npm, step, StepFailed, withPackedLibrary } from "./emptyProject.mjs"
import { root, run } from "./setup.mjs"

const versions = ["20.19.0", "22", "24", "26"]

const contractTest = `
import { describe, it } from "node:test"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import * as SqliteConnectionContract from "presence-effect/testing/SqliteConnectionContract"

SqliteConnectionContract.suite({ describe, it }, "SqliteThread", (filename, options) =>
  SqliteThread.make({ filename, ...options })
)
`

const driverFor = (version) => {
  const { devDependencies } = JSON.parse(readFileSync(path.join(root, "packages/presence-effect/package.json"), "utf8"))
  return Number.parseInt(version, 10) < 22 ? devDependencies["better-sqlite3"] : "13.2.0"
}

/** The bundle where it finds its neighbours: the migrations, and the driver of the project. */
const copyServer = (folder) => {
  for (const part of ["apps/light-server/dist/bundle", "apps/light-server/package.json", "prisma"]) {
    mkdirSync(path.dirname(path.join(folder, part)), { recursive: true })
    cpSync(path.join(root, part), path.join(folder, part), { recursive: true })
  }
  return path.join(folder, "apps/light-server/dist/bundle/main.js")
}

/** Starts the server on a free port, asks whether it is ready, and ends it. */
const startServer = (folder, node) =>
  new Promise((resolve) => {
    const main = copyServer(folder)
    const env = {
      ...process.env,
      PORT: "0",
      HOST: "127.0.0.1",
      HAPPIER_SERVER_LIGHT_DATA_DIR: path.join(folder, "data")
    }
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
      resolve({ exitCode: isReady && code === 0 ? 0 : 1, output: `${output}\nready: ${isReady}, exit code ${code}` })
    })
  })

const proveOn = async (version, folder, tarball) => {
  const home = path.join(folder, `node-${version}`)
  makeProject(home)
  const installed = await npm(home, ["install", "--silent", `node@${version}`])
  const bin = path.join(home, "node_modules/.bin")
  const node = path.join(bin, "node")
  if (installed.exitCode !== 0 || !existsSync(node))
    throw new StepFailed(`npm install node@${version}\n${installed.output}`)
  const { output } = await run(node, ["--version"])
  const driver = driverFor(version)
  console.log(`Node ${output.trim()}, better-sqlite3 ${driver}`)
  const project = path.join(folder, `project-${version}`)
  makeProject(project, { "contract.test.mjs": contractTest }, { overrides: { "better-sqlite3": driver } })
  await step("install the tarball, effect and @effect/sql-sqlite-node", () =>
    npm(project, ["install", tarball, "effect@3", "@effect/sql-sqlite-node"], bin)
  )
  await step("contract of the write connection", () => run(node, ["--test", "contract.test.mjs"], { cwd: project }))
  await step("start, readiness and end of the light server", () => startServer(project, node))
}

/** Every supported version unless `asked` names some. */
export const proveNodes = (asked) =>
  withPackedLibrary(
    "nodes",
    (asked.length > 0 ? asked : versions).map((version) => (folder, tarball) => proveOn(version, folder, tarball))
  )
