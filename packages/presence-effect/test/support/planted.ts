/** A module of the tests, bundled with the library, in which one text is replaced: a planted bug. */
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"

const here = path.dirname(fileURLToPath(import.meta.url))
const source = path.resolve(here, "../../src")
/** Below `node_modules`, so that the bundle finds its packages. */
const cache = path.resolve(here, "../../../../node_modules/.cache/presence-planted")

export interface Bug {
  /** Below `src`. */
  readonly file: string
  readonly find: string
  readonly replace: string
}

const plant = ({ file, find, replace }: Bug): string => {
  const parts = fs.readFileSync(path.join(source, file), "utf8").split(find)
  if (parts.length !== 2) throw new Error(`the text occurs ${parts.length - 1} times in ${file}, not once: ${find}`)
  return parts.join(replace)
}

/** Imports `support/<name>.ts` with the bug in it. */
export const withBug = async <Module>(name: string, bug: Bug): Promise<Module> => {
  const outfile = path.join(cache, `${process.pid}-${Math.random().toString(36).slice(2)}.mjs`)
  const contents = plant(bug)
  await esbuild.build({
    entryPoints: [path.join(here, `${name}.ts`)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    packages: "external",
    logLevel: "silent",
    plugins: [
      {
        name: "plant",
        setup: (build) => {
          build.onLoad({ filter: /\.ts$/ }, ({ path: loaded }) =>
            loaded === path.join(source, bug.file) ? { contents, loader: "ts" as const } : undefined
          )
        }
      }
    ]
  })
  try {
    return (await import(pathToFileURL(outfile).href)) as Module
  } finally {
    fs.rmSync(outfile, { force: true })
  }
}
