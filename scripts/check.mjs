/**
 * `npm run check`: everything a change must pass besides its tests. Every check
 * runs even if an earlier one failed, and ends in one line, `pass` or `fail`.
 * Names as arguments run only those: `npm run check -- lint format`.
 */
import { rmSync } from "node:fs"
import path from "node:path"
import { performance } from "node:perf_hooks"
import { compile, install, root, run, say, tool } from "./setup.mjs"

/** Runs the steps in order and stops at the first that fails. */
const inOrder = async (...steps) => {
  let last = { exitCode: 0, output: "" }
  for (const step of steps) {
    last = await step()
    if (last.exitCode !== 0) return last
  }
  return last
}

/** docgen calls `tsc` and `tsx` by name, so they must be on its path. */
const toolsOnPath = {
  ...process.env,
  PATH: `${path.dirname(tool("tsc"))}${path.delimiter}${process.env.PATH}`
}

const library = path.join(root, "packages/presence-effect")

/** The generated pages are not kept: the check is about the examples and the tags. */
const docs = async () => {
  const outcome = await run(tool("docgen"), [], { cwd: library, env: toolsOnPath })
  rmSync(path.join(library, ".docgen"), { recursive: true, force: true })
  return outcome
}

const checks = {
  // The patched compiler also refuses an effect that nobody runs. Patching twice changes nothing.
  types: () =>
    inOrder(
      () => run(tool("effect-language-service"), ["patch"]),
      () => compile(["-b"])
    ),
  lint: () => run(tool("oxlint"), ["--deny-warnings"]),
  format: () => run(tool("oxfmt"), ["--check"]),
  repository: () => run(tool("vitest"), ["run", "--project", "repo"]),
  docs,
  "dead-code": () => run(tool("knip"), [])
}

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !(name in checks))
if (unknown.length > 0) {
  say(`no check is called ${unknown.join(", ")}; there are ${Object.keys(checks).join(", ")}`)
  process.exit(2)
}

await install()

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
process.exit(failures === 0 ? 0 : 1)
