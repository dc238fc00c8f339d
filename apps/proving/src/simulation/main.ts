/** What the bundle does when Node runs it: `npm run prove -- simulation` and the tests of the mutants start it. */
import { performance } from "node:perf_hooks"
import * as Coverage from "./Coverage.ts"
import * as Options from "./Options.ts"
import * as ReplicaSearch from "./replicas/ReplicaSearch.ts"
import * as ReplicaSimulation from "./replicas/ReplicaSimulation.ts"
import * as Search from "./Search.ts"
import * as SimulatedFile from "./SimulatedFile.ts"
import * as Simulation from "./Simulation.ts"

const options = Options.parse(process.argv.slice(2))
const file = SimulatedFile.open()
process.on("exit", file.close)
for (const [signal, code] of [["SIGINT", 130] as const, ["SIGTERM", 143] as const]) {
  process.once(signal, () => process.exit(code))
}
// The stacks of planned failures are not read, and creating them costs a fifth of the time.
Error.stackTraceLimit = 0

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const mutantOption = options.mutant === undefined ? "" : ` --mutant ${options.mutant.name}`
const worldOption = options.world === "file" ? "" : ` --world ${options.world}`

const replay = (seed: number): boolean => {
  const { digest, elapsedMillis, violation } =
    options.world === "file" ? Simulation.run(seed, file, say) : ReplicaSimulation.run(seed, say)
  say(
    `seed ${seed}: ${violation ?? "every promise kept"} (${elapsedMillis / 1_000} s of virtual time, trace ${digest})`
  )
  return violation === undefined
}

const find = async () => {
  if (options.world === "replicas") {
    const found = await ReplicaSearch.run(options.from, options.seeds)
    return { ...found, table: ReplicaSearch.render(found.counts) }
  }
  const found = await Search.run(file, options.from, options.seeds)
  return { ...found, table: Coverage.render(found.coverage) }
}

const search = async (): Promise<boolean> => {
  const startedAt = performance.now()
  const { broken, lineCount, seedCount, table } = await find()
  const perSecond = seedCount / ((performance.now() - startedAt) / 1_000)
  if (options.isJson) {
    say(JSON.stringify({ seedCount, seed: broken?.seed, violation: broken?.violation }))
    return broken === undefined
  }
  say(`${seedCount} seeds from ${options.from}, ${lineCount} events, ${perSecond.toFixed(1)} seeds per second\n`)
  say(table)
  if (broken === undefined) return true
  say(`\nseed ${broken.seed}: ${broken.violation}`)
  say(`replay it: npm run prove -- simulation --seed ${broken.seed}${worldOption}${mutantOption}`)
  return false
}

const isSound = options.seed === undefined ? await search() : replay(options.seed)
process.exitCode = isSound ? 0 : 1
