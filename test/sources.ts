/** Reading the repository: which files there are, and what they import. */
import * as fs from "node:fs"
import * as path from "node:path"
import ts from "typescript"

export const root: string = path.resolve(import.meta.dirname, "..")

const skipped = new Set(["node_modules", "dist", ".docgen", ".git", "coverage"])

/** Every file below `folder`, as a path from the root with forward slashes, in a stable order. */
export const filesBelow = (folder: string): ReadonlyArray<string> => {
  const absolute = path.join(root, folder)
  if (!fs.existsSync(absolute)) return []
  return fs
    .readdirSync(absolute, { withFileTypes: true })
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    .flatMap((entry) => {
      if (skipped.has(entry.name)) return []
      const file = folder === "" ? entry.name : `${folder}/${entry.name}`
      return entry.isDirectory() ? filesBelow(file) : [file]
    })
}

export const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

export const exists = (file: string): boolean => fs.existsSync(path.join(root, file))

export const isCode = (file: string): boolean => /\.(ts|mts|mjs|js)$/.test(file)

export interface Edge {
  readonly from: string
  /** A path from the root for a relative import, else the name as written. */
  readonly to: string
}

/** What one file imports, types included. */
export const importsOf = (from: string): ReadonlyArray<Edge> =>
  ts.preProcessFile(read(from), true, true).importedFiles.map(({ fileName }) => ({
    from,
    to: fileName.startsWith(".") ? path.posix.join(path.posix.dirname(from), fileName) : fileName
  }))

export const edgesBelow = (folder: string): ReadonlyArray<Edge> => filesBelow(folder).filter(isCode).flatMap(importsOf)

/** The edges that break a rule, as sentences. */
export const violations = (edges: ReadonlyArray<Edge>, breaks: (edge: Edge) => boolean): ReadonlyArray<string> =>
  edges.filter(breaks).map(({ from, to }) => `${from} must not import ${to}`)
