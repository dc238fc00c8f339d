/**
 * Adds the optional platform packages that `npm install` left out of the lock file, because the registry at hand
 * could not resolve them. Without them `npm ci` refuses the file. Run it after `npm install` when the test
 * "names every optional package" is red. Reason: docs/decisions/0003.
 */
import * as fs from "node:fs"

if (process.argv.length > 2) {
  console.log(
    "usage: node scripts/complete-lock.mjs\n\nAdds the optional packages of other platforms to package-lock.json."
  )
  process.exit(process.argv[2] === "--help" || process.argv[2] === "-h" ? 0 : 2)
}

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(fs.readFileSync(file, "utf8"))

const systems = ["android", "darwin", "freebsd", "linux", "win32", "openharmony", "openbsd", "netbsd", "sunos", "aix"]
const processors = ["arm", "arm64", "x64", "ia32", "ppc64", "riscv64", "s390x", "loong64", "mips64el"]
const libraries = { musl: "musl", musleabihf: "musl", gnu: "glibc", gnueabihf: "glibc" }

/** Looks a package up as Node does: in the folder, then in each one above it. */
const isLocked = (folder, name) => {
  for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${at === "" ? "" : `${at}/`}node_modules/${name}`] !== undefined) return true
    if (at === "") return false
  }
}

/** These packages carry their platform in their name. */
const entryFor = (name, version) => {
  const words = name.split("/").at(-1).split("-")
  const one = (known) => words.filter((word) => known.includes(word)).slice(0, 1)
  const libc = one(Object.keys(libraries)).map((word) => libraries[word])
  const os = words.includes("linuxmusl") ? ["linux"] : one(systems)
  const fields = { cpu: one(processors), libc, os }
  return {
    version,
    dev: true,
    optional: true,
    ...Object.fromEntries(Object.entries(fields).filter(([, values]) => values.length > 0))
  }
}

let addedCount = 0
for (const [folder, { optionalDependencies = {} }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    if (isLocked(folder, name)) continue
    lock.packages[`node_modules/${name}`] = entryFor(name, version)
    addedCount++
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).toSorted(([a], [b]) => a.localeCompare(b, "en")))
fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${addedCount} entries added to package-lock.json`)
