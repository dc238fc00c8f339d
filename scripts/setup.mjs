/**
 * What every command needs before it starts: a supported Node, installed
 * dependencies, and a native SQLite binding built for this very Node.
 *
 * Only Node's own modules are used here, since nothing else exists yet in a
 * fresh clone.
 */
import { spawn } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("..", import.meta.url))

const require = createRequire(import.meta.url)

/** One line for the person in front of the terminal. */
export const say = (line) => console.log(`> ${line}`)

/** Ends the command with the output of the step that failed. */
const stop = (title, { exitCode, output }) => {
  process.stderr.write(`${output}\n> ${title} failed (exit code ${exitCode})\n`)
  process.exit(exitCode === 0 ? 1 : exitCode)
}

/**
 * Runs a program from the root of the repository and resolves with its exit code
 * and what it printed. While it runs, SIGTERM and SIGINT go to it: whoever stops
 * the command must not leave an installer or a compiler behind.
 */
export const run = (program, args, { cwd = root, env = process.env, inherit = false } = {}) =>
  new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env, stdio: ["ignore", ...Array(2).fill(inherit ? "inherit" : "pipe")] })
    const chunks = []
    child.stdout?.on("data", (chunk) => chunks.push(chunk))
    child.stderr?.on("data", (chunk) => chunks.push(chunk))

    let interruptedBy
    const forward = (signal) => {
      interruptedBy = signal
      child.kill(signal)
    }
    process.on("SIGTERM", forward).on("SIGINT", forward)

    const settle = (exitCode, detail = "") => {
      process.off("SIGTERM", forward).off("SIGINT", forward)
      if (interruptedBy !== undefined) process.exit(interruptedBy === "SIGINT" ? 130 : 143)
      resolve({ exitCode, output: Buffer.concat(chunks).toString("utf8") + detail })
    }
    child.on("error", (error) => settle(127, `${program}: ${error.message}`))
    child.on("close", (code) => settle(code ?? 1))
  })

/** Path of a command-line tool that one of our dependencies brings. */
export const tool = (name) => path.join(root, "node_modules", ".bin", name)

/** The npm that started us, or the one on the path. */
const npm = (args) => {
  const script = process.env.npm_execpath
  return script?.endsWith("npm-cli.js") ? run(process.execPath, [script, ...args]) : run("npm", args)
}

const readJson = (file) => JSON.parse(readFileSync(path.join(root, file), "utf8"))

/** Refuses a Node that is too old before anything fails in a way nobody understands. */
const requireNode = () => {
  const wanted = readJson("package.json").engines.node
  const [major, minor] = process.versions.node.split(".").map(Number)
  const [wantedMajor, wantedMinor] = wanted.match(/\d+/g).map(Number)
  if (major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)) return
  process.stderr.write(`> Node ${wanted} is needed, this is ${process.versions.node}\n`)
  process.exit(1)
}

/**
 * Says whether node_modules is what the lock file asks for. npm writes its own
 * copy of the lock file last, so after an interrupted install it is missing.
 */
const isInstalled = () => {
  const written = "node_modules/.package-lock.json"
  if (!existsSync(path.join(root, written))) return false
  const present = readJson(written).packages
  return Object.entries(readJson("package-lock.json").packages).every(([folder, locked]) => {
    if (folder === "" || locked.optional || locked.devOptional) return true
    const installed = present[folder]
    return (
      installed !== undefined &&
      installed.version === locked.version &&
      installed.integrity === locked.integrity &&
      existsSync(path.join(root, folder, "package.json"))
    )
  })
}

/** Loads the SQLite binding in a process of its own: a wrong binary must not end up in ours. */
const loadsSqlite = async () => {
  const probe = 'new (require("better-sqlite3"))(":memory:").close()'
  return (await run(process.execPath, ["-e", probe])).exitCode === 0
}

/** Brings node_modules up to date. Says nothing when there is nothing to do. */
export const install = async () => {
  requireNode()
  if (!isInstalled()) {
    say("installing dependencies (npm ci; compiling SQLite takes a minute or two)")
    // Build tools are development dependencies, so they are wanted even where NODE_ENV says production.
    const installed = await npm(["ci", "--include=dev", "--no-audit", "--no-fund"])
    if (installed.exitCode !== 0) stop("npm ci", installed)
  }
  if (!(await loadsSqlite())) {
    say(`building the SQLite binding for Node ${process.versions.node} (npm rebuild better-sqlite3)`)
    const rebuilt = await npm(["rebuild", "better-sqlite3"])
    if (rebuilt.exitCode !== 0 || !(await loadsSqlite())) stop("npm rebuild better-sqlite3", rebuilt)
  }
}

/** The projects that run: no tests, no examples. */
export const shipped = ["packages/presence-effect", "apps/light-server", "apps/contention-lab"]

/** Runs the compiler that the lock file pins. */
export const compile = (args, options) =>
  run(process.execPath, [require.resolve("typescript/lib/tsc.js"), ...args], options)

/** Builds what is missing or older than its sources, and stops where the types are wrong. */
export const build = async () => {
  say(`building ${shipped.join(" and ")} (tsc -b, only what changed)`)
  const built = await compile(["-b", ...shipped])
  if (built.exitCode !== 0) stop("tsc -b", built)
  const { bundle } = await import("./bundle.mjs")
  await bundle(root)
}
