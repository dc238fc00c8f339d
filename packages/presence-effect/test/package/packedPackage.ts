/** The package as npm would publish it, unpacked into an empty project. Needs the built library, and no network. */
import * as ChildProcess from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const library = path.join(import.meta.dirname, "../..")
const installed = path.join(library, "../../node_modules")

export interface PackedPackage {
  readonly tarball: Buffer
  /** Paths in the tarball. */
  readonly files: ReadonlyArray<string>
  readonly tarballBytes: number
  readonly unpackedBytes: number
  /** Where the package is unpacked: `node_modules/presence-effect` of `project`. */
  readonly folder: string
  readonly project: string
  readonly remove: () => void
}

interface PackReport {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: ReadonlyArray<{ readonly path: string }>
}

const run = (program: string, args: ReadonlyArray<string>, cwd: string): string =>
  ChildProcess.execFileSync(program, args, {
    cwd,
    encoding: "utf8",
    timeout: 60_000,
    stdio: ["ignore", "pipe", "pipe"]
  })

/** Links packages of this repository into the project, as an installation would put them there. */
export const link = (project: string, names: ReadonlyArray<string>): void => {
  for (const name of names) {
    const target = path.join(project, "node_modules", name)
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.symlinkSync(path.join(installed, name), target)
  }
}

/** Packs what is built: compiling it first is what `prepack` does. */
export const pack = (): PackedPackage => {
  const project = fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-package-"))
  const output = run("npm", ["pack", "--json", "--ignore-scripts", `--pack-destination=${project}`], library)
  const [report] = JSON.parse(output) as ReadonlyArray<PackReport>
  if (report === undefined) throw new Error(`npm pack printed ${output}`)
  const folder = path.join(project, "node_modules/presence-effect")
  fs.mkdirSync(folder, { recursive: true })
  run("tar", ["-xzf", path.join(project, report.filename), "--strip-components=1", "-C", folder], project)
  fs.writeFileSync(path.join(project, "package.json"), '{ "name": "host", "private": true, "type": "module" }\n')
  return {
    tarball: fs.readFileSync(path.join(project, report.filename)),
    files: report.files.map((file) => file.path),
    tarballBytes: report.size,
    unpackedBytes: report.unpackedSize,
    folder,
    project,
    remove: () => fs.rmSync(project, { recursive: true, force: true })
  }
}

export interface Outcome {
  readonly exitCode: number | null
  readonly output: string
}

/** Runs a module in the project, in a process of its own. */
export const runModule = (project: string, code: string, options: ReadonlyArray<string> = []): Outcome => {
  const file = path.join(project, "program.mjs")
  fs.writeFileSync(file, code)
  const { status, stderr, stdout } = ChildProcess.spawnSync(process.execPath, [...options, file], {
    cwd: project,
    encoding: "utf8",
    timeout: 60_000
  })
  return { exitCode: status, output: stdout + stderr }
}
