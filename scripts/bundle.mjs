/**
 * The server as few files: what an operator starts.
 *
 * Node spends more than half of a start on finding, reading and linking hundreds
 * of modules, and each thread of the database does so again. In one piece a start
 * needs less than half of the processor time. The compiler's own output stays
 * beside it, and is what the bundle is made of.
 */
import { readdirSync, rmSync } from "node:fs"
import path from "node:path"
import { build } from "esbuild"

const folder = "apps/light-server/dist/bundle"

const requireInModules = `import { createRequire as createRequireOfBundle } from "node:module";
const require = createRequireOfBundle(import.meta.url);`

/**
 * Makes `apps/light-server/dist/bundle`. All files lie in one folder, as deep as those that look for a neighbour by its
 * path: the thread's entry and the migrations.
 */
export const bundle = async (root) => {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ["apps/light-server/dist/main.js", "packages/presence-effect/dist/node/internal/sqliteThreadEntry.js"],
    outdir: folder,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    splitting: true,
    sourcemap: true,
    platform: "node",
    format: "esm",
    target: "node20",
    // Native code is loaded from where it was built.
    external: ["better-sqlite3"],
    banner: { js: requireInModules },
    logLevel: "warning",
    metafile: true
  })
  // The names say what is inside, so each change leaves files behind that nobody imports any more.
  const made = new Set(Object.keys(metafile.outputs))
  for (const name of readdirSync(path.join(root, folder))) {
    if (!made.has(`${folder}/${name}`)) rmSync(path.join(root, folder, name))
  }
}
