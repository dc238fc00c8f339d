/**
 * Bundles what runs in the threads of the library from its sources, once for a run of tests. A thread that loads each
 * module of Effect from a file of its own takes three times as long to start, and tests start hundreds.
 */
import { build } from "esbuild"
import { mkdirSync, rmSync } from "node:fs"
import path from "node:path"

const root = new URL("..", import.meta.url).pathname

/** Below `node_modules`, so that native code is found from there. One for each run, since several may run at once. */
const folder = path.join(root, "node_modules/.cache/presence-effect", `threads-${process.pid}`)

/** Called once for each project, in one process. Returns what is done at the end. */
export const setup = async (): Promise<(() => void) | undefined> => {
  if (process.env["BUNDLED_THREAD_ENTRY"] !== undefined) return undefined
  mkdirSync(folder, { recursive: true })
  await build({
    absWorkingDir: root,
    entryPoints: ["packages/presence-effect/src/node/internal/sqliteThreadEntry.ts"],
    outdir: folder,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outExtension: { ".js": ".mjs" },
    external: ["better-sqlite3"],
    conditions: ["presence-effect-source"],
    // The driver is a module of the older kind, which asks for others while it runs.
    banner: {
      js: `import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url)`
    },
    logLevel: "warning"
  })
  process.env["BUNDLED_THREAD_ENTRY"] = path.join(folder, "sqliteThreadEntry.mjs")
  return () => rmSync(folder, { recursive: true, force: true })
}
