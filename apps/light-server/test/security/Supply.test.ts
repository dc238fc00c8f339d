/**
 * Goal: the installed packages are known, no version with a known vulnerability
 * of the realtime libraries can return, and no package runs an install script
 * unnoticed. Method: the lock file, the installed packages, and `npm run sbom`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { execFileSync } from "node:child_process"
import fs from "node:fs"
import { createRequire } from "node:module"
import os from "node:os"
import path from "node:path"

const root = path.resolve(import.meta.dirname, "../../../..")

const read = (file: string): unknown => JSON.parse(fs.readFileSync(path.join(root, file), "utf8"))

const Locked = Schema.Struct({
  version: Schema.optional(Schema.String),
  integrity: Schema.optional(Schema.String),
  link: Schema.optional(Schema.Boolean),
  optional: Schema.optional(Schema.Boolean),
  dev: Schema.optional(Schema.Boolean),
  devOptional: Schema.optional(Schema.Boolean),
  hasInstallScript: Schema.optional(Schema.Boolean)
})
const Lock = Schema.Struct({ packages: Schema.Record({ key: Schema.String, value: Locked }) })
const Manifest = Schema.Struct({ allowScripts: Schema.Record({ key: Schema.String, value: Schema.Boolean }) })
const Bom = Schema.Struct({
  bomFormat: Schema.Literal("CycloneDX"),
  specVersion: Schema.String,
  components: Schema.Array(Schema.Struct({ name: Schema.String, version: Schema.String, purl: Schema.String }))
})

const packages = Object.entries(Schema.decodeUnknownSync(Lock)(read("package-lock.json")).packages).filter(
  ([folder, { link }]) => folder.includes("node_modules/") && link !== true
)

/** The packages of a production install. */
const running = packages.filter(([, { dev, devOptional }]) => dev !== true && devOptional !== true)

const nameOf = (folder: string) => folder.split("node_modules/").at(-1) ?? ""

const numbersOf = (version: string) => version.split("-")[0]?.split(".").map(Number) ?? []

const isAtLeast = (version: string, least: string): boolean => {
  const [have, want] = [numbersOf(version), numbersOf(least)]
  const at = want.findIndex((number, index) => number !== have[index])
  return at === -1 || (have[at] ?? 0) > (want[at] ?? 0)
}

/**
 * The first version without the vulnerability, or the one whose behaviour the tests of this folder were written
 * against.
 */
const floors: ReadonlyArray<readonly [name: string, least: string, reason: string]> = [
  ["socket.io", "4.6.2", "CVE-2024-38355: an event named error ended the process"],
  ["socket.io-parser", "4.2.6", "CVE-2026-33151: an event could promise attachments without an end"],
  ["engine.io", "6.4.2", "CVE-2023-31125: a broken upgrade ended the process"],
  ["ws", "8.17.1", "CVE-2024-37890: too many headers in an upgrade ended the process"],
  ["jose", "6.0.0", "no algorithm that is not asked for, and no key inside a token"],
  ["fastify", "5.3.2", "CVE-2025-32442: a type in other letters went past the schemas of bodies"],
  ["better-sqlite3", "12.11.1", "brings SQLite 3.53, which does not corrupt a log with two connections"]
]

describe("what is installed", () => {
  for (const [name, least, reason] of floors) {
    it(`has ${name} ${least} or later (${reason})`, () => {
      const locked = packages.filter(([folder]) => nameOf(folder) === name).map(([, { version = "0" }]) => version)
      assert.isNotEmpty(locked)
      for (const version of locked) assert.isTrue(isAtLeast(version, least), `${name} ${version}`)
    })
  }

  it("is compared number by number", () => {
    assert.isTrue(isAtLeast("4.10.0", "4.6.2"))
    assert.isTrue(isAtLeast("4.6.2", "4.6.2"))
    assert.isFalse(isAtLeast("4.6.1", "4.6.2"))
    assert.isFalse(isAtLeast("3.9.9", "4.6.2"))
  })

  it("refuses more attachments than the parser's own limit", () => {
    const require = createRequire(createRequire(import.meta.url).resolve("socket.io"))
    // The one that socket.io itself resolves, which is not a direct dependency.
    const parser = "socket.io-parser"
    const { Decoder } = require(parser) as { readonly Decoder: new () => { add: (text: string) => void } }
    new Decoder().add(`510-["x"]`)
    assert.throws(() => new Decoder().add(`511-["x"]`), "too many attachments")
  })

  // Binaries of other platforms come without one: docs/decisions/0003.
  it("is pinned by a hash of its content, except binaries of other platforms", () => {
    const needed = running.filter(([, { optional }]) => optional !== true)
    const loose = needed
      .filter(([, { integrity }]) => integrity?.startsWith("sha512-") !== true)
      .map(([folder]) => folder)
    assert.deepStrictEqual(loose, [])
  })

  it("runs only the install scripts that package.json allows", () => {
    const { allowScripts } = Schema.decodeUnknownSync(Manifest)(read("package.json"))
    const scripted = new Set(
      packages.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([folder]) => nameOf(folder))
    )
    assert.sameMembers([...scripted], Object.keys(allowScripts))
  })

  it("is listed by `npm run sbom`, all of what runs", () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sbom-"))
    try {
      const out = path.join(directory, "sbom.json")
      execFileSync(process.execPath, [path.join(root, "scripts/sbom.mjs"), "--out", out], { stdio: "ignore" })
      const bom = Schema.decodeUnknownSync(Schema.parseJson(Bom))(fs.readFileSync(out, "utf8"))
      const listed = new Set(bom.components.map(({ name, version }) => `${name}@${version}`))
      const names = running.map(([folder, { version }]) => `${nameOf(folder)}@${version}`)
      assert.isAbove(names.length, 50)
      assert.deepStrictEqual(
        names.filter((name) => !listed.has(name)),
        []
      )
      for (const name of ["vitest", "typescript"]) {
        assert.isFalse(
          bom.components.some((component) => component.name === name),
          name
        )
      }
    } finally {
      fs.rmSync(directory, { recursive: true })
    }
  }, 60_000)
})
