/**
 * `npm run pack`: makes the package of the server that an operator installs, `happier-light-server-VERSION.tgz`.
 *
 * It holds the bundle, so that only native code is left to install. The manifest of the workspace lists what the bundle
 * is made of, which a package must not install again; so the package has a manifest of its own, and is packed in a
 * folder of its own.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import os from "node:os"
import path from "node:path"
import { parseArgs } from "node:util"
import { build, install, npm, root, say, served } from "./setup.mjs"

const usage = `npm run pack [-- --out FOLDER]

Packs the server as happier-light-server-VERSION.tgz, in FOLDER or here. Install it with
  npm install -g ./happier-light-server-VERSION.tgz
or try it with
  npx ./happier-light-server-VERSION.tgz serve`

/** A name that nobody has taken on npm; the short one of the workspace belongs to a stranger there. */
export const packageName = "happier-light-server"

const server = path.join(root, "apps/light-server")

const readJson = (file) => JSON.parse(readFileSync(file, "utf8"))

/** What stays outside of the bundle: native code. */
const nativeDependencies = ["better-sqlite3"]

const manifest = () => {
  const { dependencies, description, engines, license, version } = readJson(path.join(server, "package.json"))
  return {
    name: packageName,
    version,
    description,
    license,
    type: "module",
    bin: { [packageName]: "bin/happier-light-server.mjs" },
    engines,
    dependencies: Object.fromEntries(nativeDependencies.map((name) => [name, dependencies[name]]))
  }
}

const isLicense = (name) => /^(licen[cs]e|copying|notice)/i.test(name)

/** Licenses of what the bundle holds, each package once. */
const notices = () => {
  const { inputs } = readJson(path.join(server, "dist/bundle/inputs.json"))
  const folders = new Set(
    Object.keys(inputs).flatMap((file) => /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? [])
  )
  return [...folders]
    .map((folder) => path.join(root, folder))
    .filter((folder) => existsSync(path.join(folder, "package.json")))
    .map((folder) => {
      const { license, name, version } = readJson(path.join(folder, "package.json"))
      const texts = readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isFile() && isLicense(entry.name))
        .map((entry) => readFileSync(path.join(folder, entry.name), "utf8").trim())
      return [`${name} ${version} (${license})`, ...texts].join("\n\n")
    })
    .toSorted()
    .join("\n\n----\n\n")
}

const readme = () => `# happier-light-server

Machines and sessions of the Happier app and command line tool, online on one SQLite file.

    npm install -g happier-light-server
    happier-light-server serve

\`happier-light-server --help\` lists the commands. [docs/operations.md](docs/operations.md) has the settings, and
\`deploy\` a unit for systemd, configurations of proxies, a dashboard and alerts.
`

/** Everything that the package holds. */
const fill = (folder) => {
  const copy = (from, to = from, options = {}) => cpSync(from, path.join(folder, to), { recursive: true, ...options })
  copy(path.join(server, "bin"), "bin")
  copy(path.join(server, "dist/bundle"), "dist/bundle", {
    filter: (file) => !file.endsWith(".map") && !file.endsWith("inputs.json")
  })
  copy(path.join(server, "web"), "web")
  copy(path.join(root, "node_modules/socket.io/client-dist/socket.io.esm.min.js"), "web/status/socket.io.js")
  copy(path.join(root, "prisma/migrations"), "prisma/migrations")
  copy(path.join(root, "prisma/postgresql/migrations"), "prisma/postgresql/migrations")
  for (const name of ["start", "upgrade", "operations", "errors", "telemetry", "glossary", "security"]) {
    copy(path.join(root, "docs", `${name}.md`), `docs/${name}.md`)
  }
  // A container is built from a clone.
  for (const name of ["grafana", "prometheus", "systemd", "Caddyfile", "nginx.conf"]) {
    copy(path.join(root, "deploy", name), `deploy/${name}`)
  }
  copy(path.join(server, "CHANGELOG.md"), "CHANGELOG.md")
  copy(path.join(root, "LICENSE"), "LICENSE")
  writeFileSync(path.join(folder, "README.md"), readme())
  writeFileSync(path.join(folder, "THIRD-PARTY-LICENSES.txt"), `${notices()}\n`)
  writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(manifest(), undefined, 2)}\n`)
}

const { values } = parseArgs({
  options: {
    out: { type: "string", default: process.cwd() },
    refuse: { type: "boolean", default: false },
    help: { type: "boolean", short: "h", default: false }
  }
})

if (values.help) {
  console.log(`usage: ${usage}`)
  process.exit(0)
}
if (values.refuse) {
  console.error("> npm pack would pack the workspace with all that it is made of; npm run pack makes the package")
  process.exit(1)
}

await install()
await build(served)
const out = path.resolve(values.out)
mkdirSync(out, { recursive: true })
const folder = mkdtempSync(path.join(os.tmpdir(), "light-server-pack-"))
try {
  fill(folder)
  const packed = await npm(["pack", folder, "--pack-destination", out, "--silent"])
  if (packed.exitCode !== 0) {
    process.stderr.write(packed.output)
    process.exitCode = packed.exitCode
  } else {
    say(`packed ${path.join(out, packed.output.trim().split("\n").at(-1) ?? "")}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
