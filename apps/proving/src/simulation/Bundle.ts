/** The simulation as one file that plain Node runs, with a planted bug if one is asked for. */
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { Mutant } from "./Mutant.ts"

const here = path.dirname(fileURLToPath(import.meta.url))
const source = path.resolve(here, "../../../../packages/presence-effect/src")
const lab = path.resolve(here, "../../../contention-lab/src")

/** Below `node_modules`, so that the bundle finds its packages. */
const cache = path.resolve(here, "../../../../node_modules/.cache/presence-simulation")

/** The source file with the bug in it. Throws when its text is not there exactly once. */
export const mutate = (mutant: Mutant): string => {
  const file = path.join(source, mutant.file)
  const parts = fs.readFileSync(file, "utf8").split(mutant.find)
  if (parts.length !== 2) {
    throw new Error(`mutant ${mutant.name}: its text occurs ${parts.length - 1} times in ${mutant.file}, not once`)
  }
  return parts.join(mutant.replace)
}

/** The library is bundled from its source, not from what was built of it: a bug can be planted there only. */
const fromSource: esbuild.Plugin = {
  name: "from-source",
  setup: (build) => {
    build.onResolve({ filter: /^presence-effect\// }, ({ path: module }) => ({
      path: path.join(source, `${module.slice("presence-effect/".length)}.ts`)
    }))
    build.onResolve({ filter: /^contention-lab\// }, ({ path: module }) => ({
      path: path.join(lab, `${module.slice("contention-lab/".length)}.ts`)
    }))
  }
}

const plant = (mutant: Mutant): esbuild.Plugin => ({
  name: "plant",
  setup: (build) => {
    const file = path.join(source, mutant.file)
    build.onLoad({ filter: /\.ts$/ }, (loaded) =>
      loaded.path === file ? { contents: mutate(mutant), loader: "ts" as const } : undefined
    )
  }
})

/** Returns the path of the bundle. Every call writes a file of its own, which the caller removes. */
export const make = async (mutant?: Mutant): Promise<string> => {
  const outfile = path.join(cache, `${process.pid}-${mutant?.name ?? "sound"}.mjs`)
  await esbuild.build({
    entryPoints: [path.join(here, "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "silent",
    plugins: mutant === undefined ? [fromSource] : [fromSource, plant(mutant)]
  })
  return outfile
}
