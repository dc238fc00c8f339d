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

/** Runs one step, prints how long it took, and throws `StepFailed` when it fails. */
export const step = async (title, work) => {
  const startedAt = performance.now()
  const outcome = await work()
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`  ${outcome.exitCode === 0 ? "pass" : "fail"} ${title} (${seconds} s)`)
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
 * Packs the library and runs each of `works` with a folder and the tarball, also when an earlier one failed. Skipped,
 * and says so, where nothing can be installed.
 */
export const withPackedLibrary = async (name, works) => {
  if (!(await isRegistryReachable())) {
    console.log(`skipped ${name}: the package registry cannot be reached`)
    return { exitCode: 0 }
  }
  return withTemporaryFolder(async (folder) => {
    let tarball
    let areAllPassed = await isPassed(async () => (tarball = await packLibrary(folder)))
    if (tarball === undefined) return { exitCode: 1 }
    for (const work of works) areAllPassed = (await isPassed(() => work(folder, tarball))) && areAllPassed
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

/** npm in a project. `node` is the folder of another Node's binary. */
export const npm = (folder, args, node) => {
  const PATH = node === undefined ? process.env.PATH : `${node}${path.delimiter}${process.env.PATH}`
  return run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: folder,
    env: { ...process.env, PATH }
  })
}
