/**
 * What a command needs before it starts: a supported Node, installed dependencies, a native SQLite binding built for
 * this Node, and compiled code.
 *
 * Only Node's own modules are imported at the top, since nothing else exists yet in a fresh clone.
 */
import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import path from "node:path"
import { performance } from "node:perf_hooks"
import { fileURLToPath } from "node:url"

export const root = fileURLToPath(new URL("..", import.meta.url))

const require = createRequire(import.meta.url)

/** One line for the reader of the terminal or of the log. */
export const say = (line) => console.log(`> ${line}`)

/** What to do about an installation that failed, from what npm printed. */
export const adviceFor = (output) => {
  const unreachable = /\b(ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET|ENETUNREACH|ENOTCACHED)\b/
  const uncompiled = /gyp ERR!|node-gyp|not found: make|no acceptable C compiler|g\+\+: (not found|No such file)/
  if (unreachable.test(output)) {
    return [
      "The package registry could not be reached. Check the connection and the proxy",
      "(npm config get registry; npm config set proxy URL), then run the command again.",
      "With a filled cache of npm, `npm ci --prefer-offline` works without a network."
    ]
  }
  if (uncompiled.test(output)) {
    return [
      "SQLite had to be compiled, and the tools for that are missing: Python 3, make and a C++ compiler.",
      "  Debian, Ubuntu   apt-get install -y python3 make g++",
      "  Fedora, RHEL     dnf install -y python3 make gcc-c++",
      "  Alpine           apk add python3 make g++",
      "  macOS            xcode-select --install",
      "  Windows          the Visual Studio Build Tools, with the C++ workload",
      "Then run the command again."
    ]
  }
  if (/\b(ENOSPC)\b/.test(output)) return ["The disk is full: the installation needs about 500 MB."]
  if (/\b(EACCES|EPERM)\b/.test(output)) return [`The user may not write in ${root}.`]
  return []
}

/** Ends the command with the output of the step that failed. */
const stop = (title, { exitCode, output }) => {
  const advice = adviceFor(output).map((line) => `> ${line}\n`)
  process.stderr.write(`${output}\n> ${title} failed (exit code ${exitCode})\n${advice.join("")}`)
  process.exit(exitCode === 0 ? 1 : exitCode)
}

/** Prints a step when it begins, and every ten seconds while it still runs, also without a terminal. */
const step = async (title, work) => {
  const startedAt = performance.now()
  const seconds = () => Math.round((performance.now() - startedAt) / 1000)
  say(title)
  const reminder = setInterval(() => say(`  still ${title.replace(/ \(.*/, "")} (${seconds()} s)`), 10_000)
  try {
    return await work()
  } finally {
    clearInterval(reminder)
  }
}

/**
 * Runs a program from the root of the repository and resolves with its exit code and what it printed. While it runs,
 * SIGTERM and SIGINT go to it, so that a stopped command leaves no installer or compiler behind.
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
export const npm = (args) => {
  const script = process.env.npm_execpath
  return script?.endsWith("npm-cli.js") ? run(process.execPath, [script, ...args]) : run("npm", args)
}

const readJson = (file) => JSON.parse(readFileSync(path.join(root, file), "utf8"))

/** Refuses a Node that is too old before anything fails for reasons that are hard to read. */
const requireNode = () => {
  const wanted = readJson("package.json").engines.node
  const [major, minor] = process.versions.node.split(".").map(Number)
  const [wantedMajor, wantedMinor] = wanted.match(/\d+/g).map(Number)
  if (major === 24 && minor >= 19) {
    say(`Node ${process.versions.node} can abort with the SQLite driver of the lock file: use Node 20, 22 or 26`)
    say("  https://github.com/nodejs/node/issues/65446")
  }
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

/** Brings node_modules up to date. Prints nothing when there is nothing to do. */
export const install = async () => {
  requireNode()
  if (!isInstalled()) {
    // Build tools are development dependencies, so they are installed even where NODE_ENV is production.
    const installed = await step("installing dependencies (npm ci; compiling SQLite takes a minute or two)", () =>
      npm(["ci", "--include=dev", "--no-audit", "--no-fund"])
    )
    if (installed.exitCode !== 0) stop("npm ci", installed)
  }
  if (!(await loadsSqlite())) {
    const rebuilt = await step(`building the SQLite binding for Node ${process.versions.node} (npm rebuild)`, () =>
      npm(["rebuild", "better-sqlite3"])
    )
    if (rebuilt.exitCode !== 0 || !(await loadsSqlite())) stop("npm rebuild better-sqlite3", rebuilt)
  }
}

const library = "packages/presence-effect"
const server = "apps/light-server"

/** Runs the compiler that the lock file pins. */
export const compile = (args, options) =>
  run(process.execPath, [require.resolve("typescript/lib/tsc.js"), ...args], options)

const bundleFolder = `${server}/dist/bundle`
const inputList = `${bundleFolder}/inputs.json`

/** Size and time of a file: enough to notice that it was written again. */
const stampOf = (file) => {
  const { mtimeMs, size } = statSync(path.join(root, file), { throwIfNoEntry: false }) ?? {}
  return `${mtimeMs} ${size}`
}

/** Whether the bundle was made of the files as they are now. */
const isBundled = () => {
  try {
    const { inputs, outputs } = readJson(inputList)
    return (
      Object.entries(inputs).every(([file, stamp]) => stampOf(file) === stamp) &&
      outputs.every((file) => existsSync(path.join(root, file)))
    )
  } catch {
    return false
  }
}

const requireInModules = `import { createRequire as createRequireOfBundle } from "node:module";
const require = createRequireOfBundle(import.meta.url);`

/** The programs: the server with its commands, and those of its threads. They share no file. */
const programs = [
  [`${server}/dist/main.js`],
  [`${server}/dist/database/readerThreadEntry.js`],
  [`${server}/dist/opening/startCheckThreadEntry.js`],
  [`${library}/dist/node/internal/sqliteThreadEntry.js`]
]

/** One program as few files: what it needs at once, and what it may need later. */
const bundleOf = (esbuild, entryPoints) =>
  esbuild.build({
    absWorkingDir: root,
    entryPoints,
    outdir: bundleFolder,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    sourcemap: true,
    // The names stay, for the stacks in the log.
    minifyWhitespace: true,
    minifySyntax: true,
    lineLimit: 120,
    platform: "node",
    format: "esm",
    target: "node20",
    // Native code is loaded from where it was built.
    external: ["better-sqlite3"],
    banner: { js: requireInModules },
    logLevel: "warning",
    metafile: true
  })

/**
 * Makes `apps/light-server/dist/bundle`: the server as few files, which an operator starts and process tests run.
 *
 * Node spends more than half of a start on finding, reading and linking hundreds of modules, and each thread of the
 * database does so again. In one piece a start needs less than half of the processor time. A thread has files of its
 * own: what it shared with the server would be loaded whole, though the thread needs a third of it. All files are in
 * one folder, as deep as those that look for a neighbour by its path: the entries of threads and the migrations.
 */
export const bundle = async () => {
  if (isBundled()) return
  const esbuild = await import("esbuild")
  const made = await Promise.all(programs.map((entryPoints) => bundleOf(esbuild, entryPoints)))
  // The names contain a hash of the content, so each change leaves files behind that nothing imports any more.
  const outputs = made.flatMap(({ metafile }) => Object.keys(metafile.outputs))
  const names = new Set(outputs)
  for (const name of readdirSync(path.join(root, bundleFolder))) {
    if (!names.has(`${bundleFolder}/${name}`)) rmSync(path.join(root, bundleFolder, name))
  }
  const bundled = made.flatMap(({ metafile }) => Object.keys(metafile.inputs))
  const files = [...new Set(bundled), "package-lock.json", "scripts/setup.mjs"]
  const inputs = Object.fromEntries(files.map((file) => [file, stampOf(file)]))
  writeFileSync(path.join(root, inputList), `${JSON.stringify({ inputs, outputs })}\n`)
}

/** The projects of the server, without tests and examples. */
export const served = [library, server]

/** Compiles the projects, and bundles the server. Only what changed is built; wrong types stop the command. */
export const build = async (projects = [...served, "apps/contention-lab"]) => {
  const title = `building ${projects.map((project) => path.basename(project)).join(", ")} (only what changed)`
  const built = await step(title, () => compile(["-b", ...projects]))
  if (built.exitCode !== 0) stop("tsc -b", built)
  await bundle()
}
