/**
 * `npm run prove -- package`: the README in use. Packs the library, makes empty projects elsewhere, copies the programs
 * of the README into them, installs what the README says, compiles with strict types, runs the programs and their
 * tests, and prints what each step took and what was installed. A third project has the core alone, with a storage in
 * memory.
 */
import { spawn } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import path from "node:path"
import { checkTree, foldersOf, makeProject, npm, step, withPackedLibrary } from "./emptyProject.mjs"
import { newestDriver, newestDriverNode } from "./nodeVersions.mjs"
import { root, run } from "./setup.mjs"

const readme = readFileSync(path.join(root, "packages/presence-effect/README.md"), "utf8")
const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code)

/** The one program of the README that contains `mark`. */
const programWith = (mark) => {
  const found = blocks.filter((code) => code.includes(mark))
  if (found.length !== 1) throw new Error(`the README has ${found.length} programs with ${mark}`)
  return found[0]
}

/** What the README tells to install. */
const installed = (tarball) => {
  const [, packages] = /^npm install presence-effect (.*)$/m.exec(readme)
  return [tarball, ...packages.split(" ")]
}

const versionIn = (manifest, name) => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(path.join(root, manifest), "utf8"))
  return `${name}@${{ ...dependencies, ...devDependencies }[name]}`
}

const compiler = ["typescript", "@types/node", "@types/better-sqlite3"].map((name) => versionIn("package.json", name))

const configuration = JSON.stringify({
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    module: "NodeNext",
    target: "ES2022",
    outDir: "out",
    types: ["node"]
  }
})

const isNewestDriver = Number.parseInt(process.versions.node, 10) >= newestDriverNode

/** From Node 22 on, the driver that the guide recommends, which is never compiled. */
const manifest = isNewestDriver ? { overrides: { "better-sqlite3": newestDriver } } : {}

/** Installs what a server needs to run, and says what that is. */
const install = (project, packages) =>
  step(`npm install ${packages.slice(1).join(" ")} and the tarball`, async () => {
    const outcome = await npm(project, ["install", ...packages])
    if (outcome.exitCode !== 0) return outcome
    const { output: size } = await run("du", ["-sm", "node_modules"], { cwd: project })
    return { ...outcome, detail: `${(await foldersOf(project)).size} packages, ${size.split("\t")[0]} MB` }
  })

const includes = (outcome, text) =>
  outcome.exitCode === 0 && !outcome.output.includes(text)
    ? { exitCode: 1, output: `expected ${JSON.stringify(text)}, got\n${outcome.output}` }
    : outcome

const lineCount = (code) => code.trimEnd().split("\n").length

/** Installs and compiles; `files` are the programs. */
const makeReady = async (project, files, packages, developed) => {
  for (const [name, code] of Object.entries(files)) console.log(`  ${name}: ${lineCount(code)} lines`)
  makeProject(project, { ...files, "tsconfig.json": configuration }, manifest)
  await install(project, packages)
  await checkTree(project)
  await step(`npm install --save-dev ${developed.join(" ")}`, () =>
    npm(project, ["install", "--save-dev", ...developed])
  )
  await step("tsc, strict, with the types of every package checked", () =>
    run(process.execPath, ["node_modules/typescript/lib/tsc.js"], { cwd: project })
  )
}

const effectProject = async (project, tarball) => {
  console.log("a project with Effect")
  const files = { "program.ts": programWith("Effect.runPromise"), "contention.test.ts": programWith("it.scoped") }
  const tests = ["vitest", "@effect/vitest"].map((name) => versionIn("packages/presence-effect/package.json", name))
  await makeReady(project, files, installed(tarball), [...compiler, ...tests])
  await step("the first program", async () =>
    includes(await run(process.execPath, ["out/program.js"], { cwd: project }), "the phone is online")
  )
  await checkRow(project)
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--dir", ".", "--no-color", "contention.test.ts"]
  await step("its test on virtual time", async () =>
    includes(await run(process.execPath, vitest, { cwd: project }), "Tests  1 passed (1)")
  )
}

/** Runs the compiled server, asks it as a client does, and ends it. */
const driveServer = (project) =>
  new Promise((resolve) => {
    const env = { ...process.env, PORT: "0" }
    const server = spawn(process.execPath, ["out/server.js"], { cwd: project, env, stdio: ["ignore", "pipe", "pipe"] })
    const limit = setTimeout(() => server.kill("SIGKILL"), 30_000)
    const answers = []
    let output = ""
    let isAsked = false
    const drive = async (address) => {
      for (const [method, target] of [
        ["PUT", "/devices/phone"],
        ["POST", "/devices/phone/beats"],
        ["GET", "/devices/phone"]
      ]) {
        answers.push(await (await fetch(`${address}${target}`, { method })).text())
      }
    }
    const read = (chunk) => {
      output += chunk
      const [, address] = /^listening on (\S+)\n/m.exec(output) ?? []
      if (address === undefined || isAsked) return
      isAsked = true
      drive(address)
        .catch((error) => answers.push(String(error)))
        .finally(() => server.kill("SIGTERM"))
    }
    server.stdout.on("data", read)
    server.stderr.on("data", read)
    server.on("close", (code) => {
      clearTimeout(limit)
      const isRight = code === 0 && answers.at(-1) === '{"isOnline":true}'
      resolve({ exitCode: isRight ? 0 : 1, output: `${output}\n${answers.join("\n")}\nexit code ${code}` })
    })
  })

/** The last flush of a program, as the README promises it. */
const checkRow = (project) => {
  writeFileSync(
    path.join(project, "look.mjs"),
    `import Database from "better-sqlite3"
const database = new Database("presence.sqlite")
console.log(JSON.stringify(database.prepare("SELECT id, active FROM Device").all()))\n`
  )
  return step("what it was told is in the file", async () =>
    includes(await run(process.execPath, ["look.mjs"], { cwd: project }), '[{"id":"phone","active":1}]')
  )
}

const fastifyProject = async (project, tarball) => {
  console.log("a project with Fastify")
  const files = { "server.ts": programWith("Fastify(") }
  await makeReady(project, files, [...installed(tarball), "fastify@5"], compiler)
  await step("the server answers and ends", () => driveServer(project))
  await checkRow(project)
}

const core = `
import { Effect } from "effect"
import { Presence } from "presence-effect"

class Devices extends Presence.Tag("core/Devices", { device: {} })() {}
const beat = Effect.map(Devices, (devices) => devices.beat({ kind: "device", id: "phone" }, Date.now()))
console.log("the phone is", await Effect.runPromise(Effect.provide(beat, Presence.layerMemory(Devices))))
`

const coreProject = async (project, tarball) => {
  console.log("a project with the core alone")
  makeProject(project, { "program.mjs": core })
  await install(project, [tarball, "effect@3"])
  await step("presence in memory, without a driver of SQLite", async () =>
    includes(await run(process.execPath, ["program.mjs"], { cwd: project }), "the phone is online")
  )
}

const projects = { effect: effectProject, fastify: fastifyProject, core: coreProject }

/** All projects unless `asked` names some. */
export const provePackage = (asked) =>
  withPackedLibrary("package", Object.keys(projects), asked, (name, folder, tarball) =>
    projects[name](path.join(folder, name), tarball)
  )
