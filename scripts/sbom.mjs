/**
 * `npm run sbom`: writes what the programs of this repository are made of, as
 * CycloneDX, to `sbom.cdx.json` or where `--out` says. It reads the lock file
 * and nothing else, and so works without a network.
 *
 * `npm sbom --omit dev` would also leave out what is needed both to build and to
 * run, so everything is asked for, and the lock file says what runs.
 */
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { parseArgs } from "node:util"

const root = path.resolve(import.meta.dirname, "..")
const { values } = parseArgs({
  options: {
    out: { type: "string", default: path.join(root, "sbom.cdx.json") },
    help: { type: "boolean", short: "h", default: false }
  }
})
if (values.help) {
  console.log("usage: npm run sbom [-- --out FILE]\n\nWrites what the programs are made of, as CycloneDX.")
  process.exit(0)
}

const lock = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8"))

/** Everything that is installed without development dependencies, as `name@version`. */
const running = new Set(
  Object.entries(lock.packages)
    .filter(([folder, { dev, devOptional, link }]) => folder.includes("node_modules/") && !dev && !devOptional && !link)
    .map(([folder, { name, version }]) => `${name ?? folder.split("node_modules/").at(-1)}@${version}`)
)

const script = process.env.npm_execpath
const args = ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--package-lock-only"]
const [program, before] = script?.endsWith("npm-cli.js") ? [process.execPath, [script]] : ["npm", []]
const text = execFileSync(program, [...before, ...args], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 2 ** 28,
  stdio: ["ignore", "pipe", "ignore"]
})
const everything = JSON.parse(text)

const workspaces = Object.values(lock.packages)
  .filter(({ link }) => link)
  .map(({ resolved }) => lock.packages[resolved])
  .map(({ name, version }) => `${name}@${version}`)

const kept = new Set([...running, ...workspaces, everything.metadata.component["bom-ref"]])
const components = everything.components.filter((component) => kept.has(component["bom-ref"]))
const named = new Set(components.map((component) => component["bom-ref"]))
const missing = [...running].filter((name) => !named.has(name))
if (missing.length > 0) {
  console.error(`npm sbom does not name ${missing.join(", ")}`)
  process.exit(1)
}

const dependencies = everything.dependencies
  .filter(({ ref }) => kept.has(ref))
  .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((name) => kept.has(name)) }))
writeFileSync(values.out, `${JSON.stringify({ ...everything, components, dependencies }, undefined, 2)}\n`)
console.log(`${components.length} components in ${values.out}`)
