/**
 * `npm run prove`: what proves something about the built server, part by part. The parts that are tests run in Vitest;
 * fault catalogue, simulation and fuzz are programs of their own, with options of their own.
 */
import { existsSync } from "node:fs"
import { parseArgs } from "node:util"
import { proveNodes } from "./nodeVersions.mjs"
import { provePackage } from "./packageProof.mjs"
import { provePeers } from "./peerRanges.mjs"
import { run, tool } from "./setup.mjs"

export const proveUsage = `npm run prove [-- PART [options of the part]] [-- --quick]

  (nothing)    every part in full size: about an hour
  --quick      every part in the size that each change must pass: quick faults, few seeds, 2,000 inputs, some of the
               outages of what replicas share; further arguments go to Vitest

  contract     the wire contract against the built server; names of files and options of Vitest (--name=value) may
               follow, as in the next six
  contract-postgres
               the same with PostgreSQL as the database of the server: one on the loopback interface, or an embedded one
  process      the process: signals, ends, files, restarts
  security     isolation of accounts, secrets, forged tokens, odd frames, slow clients
  storms       many clients at once, restarts under load
  replicas     three servers over one PostgreSQL and one Redis: servers, PostgreSQL and Redis killed, restarted and
               frozen, clocks a minute apart
  browser      the status page and the report of the lab in Chromium
  real         what the packages do with real processes and on real time: the lab's runs, the instance lock
  faults       the fault catalogue: faults F15, faults --quick, faults --list
  simulation   presence on virtual time, one world per seed: simulation --seeds 200, simulation --seed 4711
  fuzz         inputs to every route and event: fuzz --inputs 100000 --seed 4711

  package      the README's programs in two empty projects that install the packed library: package effect, package
               fastify; needs the registry
  peers        the packed library with the lowest and the newest peers that its ranges allow; needs the registry
  nodes        the packed library and the built server on each supported Node: nodes 20.19.0 22; needs the registry`

const vitest = (args, { env = {}, projects = ["proving"] } = {}) =>
  run(tool("vitest"), ["run", ...projects.map((name) => `--project=${name}`), ...args], {
    env: { ...process.env, ...env },
    inherit: true
  })

const whole = (name, text) => {
  if (/^\d{1,10}$/.test(text)) return text
  throw new TypeError(`--${name} must be a whole number without a sign, got ${text}`)
}

/** The environment of the fuzz test. Throws a `TypeError` for arguments that mean nothing. */
const fuzzOptions = (args) => {
  const { values } = parseArgs({
    args,
    options: { inputs: { type: "string", default: "100000" }, seed: { type: "string" } }
  })
  const seed = values.seed === undefined ? {} : { FUZZ_SEED: whole("seed", values.seed) }
  return { FUZZ_INPUTS: whole("inputs", values.inputs), ...seed }
}

const fuzz = (args) => {
  try {
    return vitest(["--silent=false", "test/fuzz/"], { env: fuzzOptions(args) })
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    console.error(error.message)
    return { exitCode: 2 }
  }
}

const suites = ["contract", "process", "security", "storms", "replicas", "browser"]

/** Runs the files of a folder, or those whose names begin with the given text. */
const suite = (name, args, project = "proving") => {
  const files = args.filter((arg) => !arg.startsWith("-")).map((file) => `test/${name}/${file}`)
  const chosen = [...(files.length > 0 ? files : [`test/${name}/`]), ...args.filter((arg) => arg.startsWith("-"))]
  return vitest(chosen, { projects: [project] })
}

const partsWith = (proving) => ({
  ...Object.fromEntries(suites.map((name) => [name, (args) => suite(name, args)])),
  "contract-postgres": (args) => suite("contract", args, "proving-postgres"),
  real: (args) => vitest(args, { projects: ["proving-real"] }),
  faults: (args) => proving("faults/main.ts", args, ["--conditions=presence-effect-source"]),
  simulation: (args) => proving("simulation/start.ts", args),
  fuzz,
  package: provePackage,
  peers: provePeers,
  nodes: proveNodes
})

/** None of the scenarios failed, and some could not run on this machine. */
const onlySkipped = 3

/** Runs each part even if an earlier one failed. */
const everything = async (parts) => {
  const outcomes = []
  for (const [name, part] of Object.entries(parts)) {
    const { exitCode } = await part([])
    outcomes.push({ name, isPassed: exitCode === 0 || (name === "faults" && exitCode === onlySkipped) })
  }
  // The planted bugs show that the auditors of the simulation would notice.
  const { exitCode } = await vitest(["test/simulation/"])
  outcomes.push({ name: "planted bugs", isPassed: exitCode === 0 })
  for (const { isPassed, name } of outcomes) console.log(`${isPassed ? "pass" : "fail"} ${name}`)
  const failed = outcomes.filter(({ isPassed }) => !isPassed).length
  console.log(`${outcomes.length - failed} parts passed, ${failed} failed`)
  return { exitCode: failed === 0 ? 0 : 1 }
}

/** Why the arguments of `prove` are refused. */
export const unknownPart = ([first]) =>
  first === undefined || first === "--quick" || Object.hasOwn(partsWith(), first)
    ? undefined
    : `no part is called ${first}\nusage: ${proveUsage}`

/** `proving` runs a program of apps/proving. */
export const prove = ([first, ...rest], proving) => {
  const parts = partsWith(proving)
  if (first === undefined) return everything(parts)
  return first === "--quick" ? vitest(rest, { env: { PROVE_QUICK: "1" }, projects: ["proving*"] }) : parts[first](rest)
}

/** The part has options of its own, and its program is installed. */
export const hasOwnHelp = (args) => (args[0] === "faults" || args[0] === "simulation") && existsSync(tool("tsx"))
