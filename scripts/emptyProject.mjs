/**
 * Projects outside this repository that install the library as npm would publish it: what `npm run prove` runs in them
 * cannot lean on anything of the workspace.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import path from "node:path"
import { performance } from "node:perf_hooks"
import { root, run } from "./setup.mjs"

const library = path.join(root, "packages/presence-effect")

/** A step of a proof failed: the output says why. */
export class StepFailed extends Error {}

/** Runs one step, prints how long it took and its `detail`, and throws `StepFailed` when it fails. */
export const step = async (title, work) => {
  const startedAt = performance.now()
  const outcome = await work()
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  const detail = outcome.detail === undefined ? "" : `: ${outcome.detail}`
  console.log(`  ${outcome.exitCode === 0 ? "pass" : "fail"} ${title}${detail} (${seconds} s)`)
  if (outcome.exitCode !== 0) throw new StepFailed(`${title}\n${outcome.output}`)
  return outcome
}

/** Whether the registry answers. Without it nothing can be installed elsewhere. */
const isRegistryReachable = async () =>
  (await run("npm", ["view", "effect@3", "name", "--fetch-timeout=5000", "--fetch-retries=0"])).exitCode === 0

/** A temporary folder that `body` may use. Kept when `KEEP_PROJECTS` is set. */
const withTemporaryFolder = async (body) => {
  const folder = mkdtempSync(path.join(tmpdir(), "presence-effect-proof-"))
  try {
    return await body(folder)
  } finally {
    if (process.env.KEEP_PROJECTS === undefined) rmSync(folder, { recursive: true, force: true })
    else console.log(`  kept ${folder}`)
  }
}

/** Builds the library from nothing and packs it. Returns the path of the tarball. */
const packLibrary = async (folder) => {
  await step("npm pack, which builds the library first", () =>
    run("npm", ["pack", "--silent", `--pack-destination=${folder}`], { cwd: library })
  )
  return path.join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".tgz"))
  )
}

/** Whether `work` passed. A step that failed is printed. */
const isPassed = async (work) => {
  try {
    await work()
    return true
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error
    console.log(error.message)
    return false
  }
}

/**
 * Packs the library and runs `work` with each name, a folder and the tarball, also when an earlier one failed: with
 * those of `known` that are `asked` for, or with all. A name that means nothing is refused, since it would prove
 * nothing. Skipped, and says so, where nothing can be installed.
 */
export const withPackedLibrary = async (part, known, asked, work) => {
  const unknown = asked.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    console.error(`${part} knows no ${unknown.join(", ")}, only ${known.join(", ")}`)
    return { exitCode: 2 }
  }
  if (!(await isRegistryReachable())) {
    console.log(`skipped ${part}: the package registry cannot be reached`)
    return { exitCode: 0 }
  }
  return withTemporaryFolder(async (folder) => {
    let tarball
    let areAllPassed = await isPassed(async () => (tarball = await packLibrary(folder)))
    if (tarball === undefined) return { exitCode: 1 }
    for (const name of asked.length > 0 ? asked : known) {
      areAllPassed = (await isPassed(() => work(name, folder, tarball))) && areAllPassed
    }
    return { exitCode: areAllPassed ? 0 : 1 }
  })
}

/** An empty project of ES modules, with `files` in it. */
export const makeProject = (folder, files = {}, manifest = {}) => {
  mkdirSync(folder, { recursive: true })
  // npm wants to know which packages may run a script when they are installed: the driver compiles itself.
  const allowScripts = { "better-sqlite3": true, esbuild: true, node: true }
  const content = { name: path.basename(folder), private: true, type: "module", allowScripts, ...manifest }
  writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(content, null, 2)}\n`)
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text)
}

/** npm in a project. `other` is another Node: the folder of its binary, and what native code is compiled against. */
export const npm = (folder, args, other) => {
  const nodedir = other?.prefix === undefined ? {} : { npm_config_nodedir: other.prefix }
  const chosen = other === undefined ? {} : { PATH: `${other.bin}${path.delimiter}${process.env.PATH}`, ...nodedir }
  return run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    env: { ...process.env, ...chosen }
  })
}

/** Where the packages of a project are, each once. */
export const foldersOf = async (project) => {
  const { output } = await npm(project, ["ls", "--all", "--parseable"])
  return new Set(output.trim().split("\n").slice(1))
}

/** npm finds nothing wrong with the tree, and there is one copy of what must meet itself. */
export const checkTree = (project) =>
  step("npm ls finds no fault, and one copy of Effect and of the driver", async () => {
    const outcome = await npm(project, ["ls", "--all"])
    if (outcome.exitCode !== 0) return outcome
    const shared = /node_modules\/(effect|@effect\/[\w-]+|better-sqlite3|presence-effect)$/
    const names = Array.from(await foldersOf(project), (folder) => shared.exec(folder)?.[1]).filter(Boolean)
    const wrong = [
      ...["effect", "better-sqlite3", "presence-effect"].filter((name) => !names.includes(name)),
      ...names.filter((name, index) => names.indexOf(name) !== index)
    ]
    return wrong.length === 0
      ? outcome
      : { exitCode: 1, output: `${outcome.output}\nnot there once: ${wrong.join(", ")}` }
  })
