/**
 * What the npm scripts run, except `npm start`: `node scripts/command.mjs NAME ARGUMENTS`. Each command says what it
 * needs before it begins, and `--help` prints its usage and changes nothing.
 */
import { createHash } from "node:crypto"
import { existsSync, readFileSync, rmSync } from "node:fs"
import path from "node:path"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { hasOwnHelp, prove, proveUsage, unknownPart } from "./prove.mjs"
import { build, bundle, compile, install, root, run, say, served, tool } from "./setup.mjs"

const inherit = true

/** Runs a TypeScript file of `apps/proving`, against what is built unless the conditions of Node say otherwise. */
const proving = (file, args, conditions = []) =>
  run(process.execPath, [...conditions, "--import", "tsx", `apps/proving/src/${file}`, ...args], {
    // Compiling anew takes little time, and a cache would be left behind.
    env: { ...process.env, TSX_DISABLE_CACHE: "1" },
    inherit
  })

/**
 * Every project except `proving` and `proving-real`, which `npm run prove` runs, unless the arguments choose projects.
 */
const test = (args) => {
  const isChosen = args.some((arg) => arg.startsWith("--project"))
  // Loading the modules anew for each of 200 files took a third of the processor time, so the files of a worker share
  // them. Only an argument of the command line reaches the pool: in the options of a project it is ignored.
  const chosen = ["run", "--no-isolate", ...(isChosen ? [] : ["--project=!proving*"]), ...args]
  say(`vitest ${chosen.join(" ")}`)
  return run(tool("vitest"), chosen, { inherit })
}

/** Rebuilds on every change and restarts the server. One Ctrl-C ends both. */
const dev = (args) => {
  const main = path.join(root, "apps/light-server/dist/main.js")
  say("watching the sources; Ctrl-C ends the compiler and the server")
  return Promise.race([
    compile(["-b", "--watch", "--preserveWatchOutput", ...served], { inherit }),
    run(process.execPath, ["--watch", "--watch-preserve-output", main, ...args], { inherit })
  ])
}

const buildAll = async () => {
  const { exitCode, output } = await compile(["-b"])
  process.stdout.write(output)
  if (exitCode === 0) await bundle()
  return { exitCode }
}

const laboratory = path.join(root, "apps/contention-lab/dist/src/main.js")

/** Runs in this very process, so a Ctrl-C reaches it; the npm script says `exec` for the same reason. */
const lab = async (args) => {
  process.argv.splice(1, process.argv.length, laboratory, ...args)
  await import(pathToFileURL(laboratory).href)
}

const fix = async () => {
  const linted = await run(tool("oxlint"), ["--fix"], { inherit })
  const formatted = await run(tool("oxfmt"), [], { inherit })
  return { exitCode: Math.max(linted.exitCode, formatted.exitCode) }
}

const api = () =>
  run(tool("vitest"), ["run", "--project", "repo", "PublicApi"], {
    env: { ...process.env, UPDATE_PUBLIC_API: "1" },
    inherit
  })

const compilerDigest = () =>
  createHash("sha256")
    .update(readFileSync(path.join(root, "node_modules/typescript/lib/_tsc.js")))
    .digest("hex")

/**
 * The patched compiler refuses an effect that is never run. Only this check pays for the patch, and after the first
 * patch it compiles everything again: what the plain compiler built counts as up to date otherwise.
 */
const types = async () => {
  const before = compilerDigest()
  const patched = await run(tool("effect-language-service"), ["patch"])
  if (patched.exitCode !== 0) return patched
  return compile(["-b", ...(compilerDigest() === before ? [] : ["--force"])])
}

const library = path.join(root, "packages/presence-effect")

const typedoc = (args) => run(tool("typedoc"), args, { cwd: library })

/**
 * The generated pages are not kept: the check is about the examples, which docgen compiles and runs, the tags, and the
 * links between the pages.
 */
const docs = async () => {
  // Examples run from the sources, but a thread runs what is built.
  const built = await compile(["-b", library])
  if (built.exitCode !== 0) return built
  // docgen calls `tsc` and `tsx` by name, so they must be on its path.
  const env = { ...process.env, PATH: `${path.dirname(tool("tsc"))}${path.delimiter}${process.env.PATH}` }
  const outcome = await run(tool("docgen"), [], { cwd: library, env })
  rmSync(path.join(library, ".docgen"), { recursive: true, force: true })
  return outcome.exitCode === 0 ? typedoc(["--emit", "none"]) : outcome
}

const checks = {
  types,
  lint: () => run(tool("oxlint"), ["--deny-warnings"]),
  format: () => run(tool("oxfmt"), ["--check"]),
  repository: () => run(tool("vitest"), ["run", "--project", "repo"]),
  docs,
  "dead-code": () => run(tool("knip"), [])
}

/** Every check runs even if an earlier one failed, and ends in one line, `pass` or `fail`. */
const check = async (asked) => {
  let failures = 0
  for (const [name, check] of Object.entries(checks)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    const startedAt = performance.now()
    const { exitCode, output } = await check()
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    if (exitCode !== 0) {
      failures++
      process.stdout.write(`${output.trimEnd()}\n`)
    }
    console.log(`${exitCode === 0 ? "pass" : "fail"} ${name} (${seconds} s)`)
  }
  return { exitCode: failures === 0 ? 0 : 1 }
}

/** Why the arguments of `check` are refused. */
const unknownCheck = (asked) => {
  const unknown = asked.filter((name) => !(name in checks))
  const names = Object.keys(checks).join(", ")
  return unknown.length === 0 ? undefined : `no check is called ${unknown.join(", ")}; there are ${names}`
}

const commands = {
  test: {
    usage:
      "npm test [-- arguments of Vitest]\n\nTests in memory and on virtual time, and a smoke test of the built server.",
    needs: build,
    work: test
  },
  prove: { usage: proveUsage, needs: build, hasOwnHelp, refusal: unknownPart, work: (args) => prove(args, proving) },
  check: {
    usage: `npm run check [-- NAME ...]

Everything a change must pass besides its tests: ${Object.keys(checks).join(", ")}.`,
    refusal: unknownCheck,
    work: check
  },
  fix: { usage: "npm run fix\n\nRepairs what the linter and the formatter can repair by themselves.", work: fix },
  api: { usage: "npm run api\n\nWrites the public surface of presence-effect to test/public-api.txt.", work: api },
  build: { usage: "npm run build\n\nCompiles everything, tests included, and bundles the server.", work: buildAll },
  docs: {
    usage: "npm run docs\n\nWrites the pages of presence-effect, modules and guides, to packages/presence-effect/site.",
    needs: build,
    work: async () => {
      const { exitCode, output } = await typedoc([])
      process.stdout.write(output)
      return { exitCode }
    }
  },
  dev: {
    usage: "npm run dev [-- arguments of the server]\n\nRebuilds on every change and restarts the server.",
    needs: build,
    work: dev
  },
  bench: {
    usage: "npm run bench [-- T1 ...] [options]\n\nMeasures the built library and the built server.",
    hasOwnHelp: () => existsSync(tool("tsx")),
    needs: build,
    work: (args) => proving("bench/main.ts", args)
  },
  lab: {
    usage: "npm run lab [-- options]\n\nReplays the starved writer and its remedies, and measures them.",
    hasOwnHelp: () => existsSync(laboratory),
    needs: build,
    work: lab
  }
}

const [name, ...args] = process.argv.slice(2)
const command = commands[name]
if (command === undefined) {
  console.error(`usage: node scripts/command.mjs NAME; there are ${Object.keys(commands).join(", ")}`)
  process.exit(2)
}

const isHelp = args.some((arg) => arg === "--help" || arg === "-h")
if (isHelp) {
  // A program with a usage of its own prints it, where it is installed and built.
  if (command.hasOwnHelp?.(args) !== true) {
    console.log(`usage: ${command.usage}`)
    process.exit(0)
  }
} else {
  const refusal = command.refusal?.(args)
  if (refusal !== undefined) {
    say(refusal)
    process.exit(2)
  }
  // What is said while building must not end up in the JSON that the lab prints.
  if (name === "lab") console.log = console.error
  await install()
  await command.needs?.()
}
const outcome = await command.work(args)
if (outcome !== undefined) process.exit(outcome.exitCode)
