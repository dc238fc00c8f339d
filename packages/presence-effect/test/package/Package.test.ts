/**
 * Goal: what npm would publish is complete, closed where it is private, and works in a project of its own.
 * Method: pack the built library, unpack it into an empty project beside the packages it asks for, and use it from
 * there: by its exports, through a bundler, and with the checks that publishers run.
 */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { link, type Outcome, pack, type PackedPackage, runModule } from "./packedPackage.ts"

let packed: PackedPackage

const manifest = () => JSON.parse(fs.readFileSync(path.join(packed.folder, "package.json"), "utf8"))

beforeAll(() => {
  packed = pack()
  const { dependencies, peerDependencies } = manifest()
  link(packed.project, Object.keys({ ...dependencies, ...peerDependencies }))
})

afterAll(() => packed.remove())

/** Public modules, as an importer writes them. */
const modules = (): ReadonlyArray<string> =>
  packed.files.flatMap((file) => {
    const [, name = ""] = /^dist\/((?:\w+\/)?[A-Z]\w*)\.js$/.exec(file) ?? []
    return name === "" ? [] : [`presence-effect/${name}`]
  })

/** A document without its code: text in code is not a link. */
const prose = (file: string): string => fs.readFileSync(file, "utf8").replace(/^```[\s\S]*?^```/gm, "")

/** Modules for tests that put a real file behind what they test. */
const nodeOnly = /testing\/(SimulatedDatabase|SqliteConnectionContract)$/

describe("the tarball", () => {
  it("holds what a user reads and runs, and nothing else", () => {
    const wanted = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"]
    assert.includeMembers([...packed.files], wanted)
    const isWanted = (file: string): boolean =>
      wanted.includes(file) ||
      /^src\/([\w-]+\/)*[\w-]+\.ts$/.test(file) ||
      /^dist\/([\w-]+\/)*[\w-]+\.(js|js\.map|d\.ts|d\.ts\.map)$/.test(file) ||
      /^examples\/[\w-]+(\.test)?\.ts$/.test(file) ||
      /^docs\/[\w-]+\.md$/.test(file) ||
      file === "schema.sql"
    assert.deepStrictEqual(
      packed.files.filter((file) => !isWanted(file)),
      []
    )
  })

  // Of the manifest: a pattern may hold one star only, and one with two closes nothing.
  it("closes the private folder of every room", () => {
    const rooms = new Set(packed.files.flatMap((file) => /^src\/((?:\w+\/)?internal)\//.exec(file)?.[1] ?? []))
    const { exports } = manifest()
    assert.deepStrictEqual(
      [...rooms].filter((room) => exports[`./${room}/*`] !== null),
      []
    )
  })

  it("stays small", () => {
    assert.isBelow(packed.tarballBytes, 600_000)
    assert.isBelow(packed.unpackedBytes, 2_500_000)
  })

  it("has links in its documents that lead to a file in it, or to an address", () => {
    const broken = packed.files
      .filter((file) => file.endsWith(".md"))
      .flatMap((file) =>
        [...prose(path.join(packed.folder, file)).matchAll(/\]\(([^)\s#]+)[^)\s]*\)/g)].flatMap(([, target = ""]) => {
          if (target.startsWith("https:")) return []
          const found = path.join(packed.folder, path.dirname(file), target)
          return found.startsWith(packed.folder) && fs.existsSync(found) ? [] : [`${file} links to ${target}`]
        })
      )
    assert.deepStrictEqual(broken, [])
  })

  it("asks for Effect and its packages as peers, so that a host has one copy of each", () => {
    const { dependencies, peerDependencies, peerDependenciesMeta, publishConfig, repository } = manifest()
    assert.deepStrictEqual(Object.keys(dependencies), ["fastify-plugin"])
    const optional = Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true)
    assert.deepStrictEqual(optional, ["effect"], "without SQLite and Fastify it needs effect alone")
    assert.strictEqual(publishConfig.provenance, true)
    assert.strictEqual(repository.directory, "packages/presence-effect")
  })

  it("satisfies publint", async () => {
    const { messages } = await publint({ pkgDir: packed.folder, level: "suggestion", strict: true, pack: false })
    assert.deepStrictEqual(
      messages.map((message) => formatMessage(message, manifest())),
      []
    )
  })

  it("has types that every resolver of ES modules finds", async () => {
    const result = await checkPackage(createPackageFromTarballData(packed.tarball), {
      entrypoints: [".", "./Presence", "./writer/SqliteWriter", "./host/FastifyPresence"]
    })
    assert.isTrue(result.types !== false, "it has types")
    // ES modules only: `require` of a type checker is told so, and resolvers that know no exports find nothing.
    const problems = "problems" in result ? result.problems : []
    const isExpected = (problem: (typeof problems)[number]): boolean =>
      problem.kind === "CJSResolvesToESM" || (problem.kind === "NoResolution" && problem.resolutionKind === "node10")
    assert.deepStrictEqual(
      problems.filter((problem) => !isExpected(problem)),
      []
    )
  })
})

describe("the exports", () => {
  it("lead to every public module", () => {
    assert.isAtLeast(modules().length, 30)
    const { exitCode, output } = runModule(
      packed.project,
      `for (const name of ${JSON.stringify(modules())}) await import(name)`
    )
    assert.deepStrictEqual({ exitCode, output }, { exitCode: 0, output: "" })
  })

  it("need effect alone for all that is neither a driver in Node nor a host", () => {
    const core = modules().filter(
      (name) => !/^presence-effect\/(node|host|postgres|mysql)\//.test(name) && !nodeOnly.test(name)
    )
    assert.isAtLeast(core.length, 25)
    const elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-core-"))
    try {
      link(elsewhere, ["effect"])
      fs.cpSync(packed.folder, path.join(elsewhere, "node_modules/presence-effect"), { recursive: true })
      const { exitCode, output } = runModule(
        elsewhere,
        `for (const name of ${JSON.stringify(core)}) await import(name)`
      )
      assert.deepStrictEqual({ exitCode, output }, { exitCode: 0, output: "" })
    } finally {
      fs.rmSync(elsewhere, { recursive: true, force: true })
    }
  })

  it("close what is private", () => {
    const names = packed.files.flatMap((file) => {
      const [, name] = /^dist\/((?:\w+\/)*internal\/\w+)\.js$/.exec(file) ?? []
      return name === undefined ? [] : [`presence-effect/${name}`, `presence-effect/${name.replace("internal/", "")}`]
    })
    assert.isAtLeast(names.length, 40)
    const { output } = runModule(
      packed.project,
      `for (const name of ${JSON.stringify(names)}) {
        try { await import(name); console.log(name, "can be imported") } catch (error) {
          if (!/^ERR_(PACKAGE_PATH_NOT_EXPORTED|MODULE_NOT_FOUND)$/.test(error.code)) console.log(name, error)
        }
      }`
    )
    // The program of the thread is open under a name of its own, for bundlers. In the event loop it does nothing.
    assert.strictEqual(output, "presence-effect/node/sqliteThreadEntry can be imported\n")
  })

  it("lead to JavaScript for a host that builds its own workspace from sources", () => {
    const { output } = runModule(packed.project, 'console.log(import.meta.resolve("presence-effect/Presence"))', [
      "--conditions=source",
      "--conditions=development"
    ])
    assert.match(output, /\/dist\/Presence\.js\n$/)
  })
})

const host = (options: string) => `
import Database from "better-sqlite3"
import * as PresenceHost from "presence-effect/host/PresenceHost"
import * as PresenceTables from "presence-effect/sqlite/PresenceTables"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"

const filename = "host.sqlite"
const kinds = { device: { table: "Device" } }
const database = new Database(filename)
database.exec(PresenceTables.ddl(kinds))
const host = await PresenceHost.start({ filename, kinds, ${options} })
await host.write(Lane.control, Write.statement("INSERT INTO Device (id) VALUES ('d')"))
host.connected({ kind: "device", id: "d" })
await host.close()
console.log(JSON.stringify(database.prepare("SELECT id, active FROM Device").all()))
`

interface Bundled extends Outcome {
  readonly files: ReadonlyArray<string>
}

/** Bundles a host and its thread, and runs the bundle where nothing is installed besides the native driver. */
const bundleAndRun = async (options: string, threadName: string): Promise<Bundled> => {
  const elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), "presence-effect-bundle-"))
  try {
    fs.writeFileSync(path.join(packed.project, "host.mjs"), host(options))
    await esbuild.build({
      absWorkingDir: packed.project,
      entryPoints: { main: "host.mjs", [threadName]: "presence-effect/node/sqliteThreadEntry" },
      outdir: elsewhere,
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node20",
      external: ["better-sqlite3"],
      logLevel: "silent"
    })
    const files = fs.readdirSync(elsewhere)
    fs.writeFileSync(path.join(elsewhere, "package.json"), '{ "type": "module" }\n')
    link(elsewhere, ["better-sqlite3"])
    return { ...runModule(elsewhere, 'await import("./main.js")'), files }
  } finally {
    fs.rmSync(elsewhere, { recursive: true, force: true })
  }
}

describe("a bundler", () => {
  const expected = { exitCode: 0, output: '[{"id":"d","active":1}]\n' }
  const onLog = 'onLog: ({ level, message }) => { if (level === "error") console.error(message) }'

  it("makes one file of a host, and one of its thread that is found beside it", async () => {
    const { exitCode, files, output } = await bundleAndRun(onLog, "sqliteThreadEntry")
    assert.sameMembers([...files], ["main.js", "sqliteThreadEntry.js"])
    assert.deepStrictEqual({ exitCode, output }, expected)
  })

  it("may put the thread elsewhere, when the host says where", async () => {
    const options = `${onLog}, entry: new URL("./threads/writer.js", import.meta.url)`
    const { exitCode, files, output } = await bundleAndRun(options, "threads/writer")
    assert.sameMembers([...files], ["main.js", "threads"])
    assert.deepStrictEqual({ exitCode, output }, expected)
  })

  it("that leaves the thread out fails the start with the file that is missing", async () => {
    const { exitCode, output } = await bundleAndRun(onLog, "unknownName")
    assert.strictEqual(exitCode, 1)
    assert.match(output, /Cannot find module '.*sqliteThreadEntry\.js'/)
  })
})
