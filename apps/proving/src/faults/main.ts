/**
 * `npm run prove -- faults`: runs scenarios of the catalogue and prints the result of each.
 *
 * Ends with 0 when all passed, 1 when one failed, 2 for invalid arguments, 3
 * when none failed and some could not run here or were inconclusive.
 */
import { Command, CommanderError, InvalidArgumentError } from "commander"
import { Effect, Fiber } from "effect"
import fs from "node:fs"
import * as Catalogue from "./Catalogue.ts"
import * as Need from "./Need.ts"
import * as Runner from "./Runner.ts"

const exitCode = { failed: 1, misuse: 2, skipped: 3, interrupted: 130 }

interface Options {
  readonly quick?: boolean
  readonly long?: boolean
  readonly list?: boolean
  readonly setup?: boolean
  readonly seed: number
  readonly json?: string
}

const number = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("A whole number below 1000000000 is wanted.")
  return Number(text)
}

const program: Command = new Command("npm run prove -- faults")
  .description("Injects faults into the built server and checks its guarantees.")
  .argument("[ids...]", "scenarios to run, F1 to F45; all unless given")
  .option("--quick", "only those that every change must pass")
  .option("--long", "every point instead of a few: 1000 kills, 50 power cuts; takes hours")
  .option("--seed <number>", "what random moments are made from", number, Math.floor(Math.random() * 1_000_000))
  .option("--json <file>", "also write the outcomes there")
  .option("--list", "print the catalogue, and what is missing here")
  .option("--setup", "install the programs that scenarios need, as root")
  .showHelpAfterError()
  .exitOverride()

const parse = () => {
  try {
    program.parse()
    const scenarios = Catalogue.chosen(program.args, program.opts<Options>().quick === true)
    if (typeof scenarios === "string") return program.error(`error: there is no scenario ${scenarios}`)
    return { scenarios, options: program.opts<Options>() }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return process.exit(error.exitCode === 0 ? 0 : exitCode.misuse)
  }
}

const { options, scenarios } = parse()

const list = () => {
  for (const { id, isQuick, needs, promises, title } of scenarios) {
    const reasons = Need.reasons(needs)
    const notes = [
      promises.join(" "),
      ...(isQuick ? ["quick"] : []),
      ...reasons.map((reason) => `cannot run: ${reason}`)
    ]
    console.log(`${id.padEnd(4)} ${title} (${notes.join("; ")})`)
  }
  for (const { id, reason } of Catalogue.absent) console.log(`${id.padEnd(4)} not here: ${reason}`)
}

const summarise = (outcomes: ReadonlyArray<Runner.Outcome>) => {
  for (const { id, reason, verdict } of outcomes)
    if (verdict === "skipped" || verdict === "inconclusive") {
      console.log(`${verdict} ${id}: ${reason}`)
    }
  for (const { id, title, verdict } of outcomes) if (verdict === "failed") console.log(`failed ${id}: ${title}`)
  const passed = Runner.count(outcomes, "passed")
  const failed = Runner.count(outcomes, "failed")
  const skipped = Runner.count(outcomes, "skipped")
  const inconclusive = Runner.count(outcomes, "inconclusive")
  const notes = inconclusive === 0 ? "" : `, ${inconclusive} inconclusive`
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped${notes}`)
  if (options.json !== undefined)
    fs.writeFileSync(options.json, `${JSON.stringify({ seed: options.seed, outcomes }, null, 2)}\n`)
  return failed !== 0 ? exitCode.failed : skipped + inconclusive !== 0 ? exitCode.skipped : 0
}

const runAll = Effect.gen(function* () {
  console.log(`seed ${options.seed}`)
  const outcomes = yield* Effect.forEach(scenarios, (scenario) =>
    Effect.tap(Runner.run(scenario, { isLong: options.long === true, seed: options.seed }), (outcome) =>
      Effect.sync(() => console.log(`${Runner.render(outcome)}\n`))
    )
  )
  return summarise(outcomes)
})

if (options.setup === true) console.log(Need.setUp())
else if (options.list === true) list()
else {
  const fiber = Effect.runFork(runAll)
  // What is mounted or attached must be taken down first, so a second signal changes nothing.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => Effect.runFork(Fiber.interrupt(fiber)))
  fiber.addObserver((exit) => process.exit(exit._tag === "Success" ? exit.value : exitCode.interrupted))
}
