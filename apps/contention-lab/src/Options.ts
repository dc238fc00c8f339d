/** The arguments of the program, read into a value. Nothing is run here. */
import { Command, CommanderError, Help, InvalidArgumentError, Option } from "commander"
import * as path from "node:path"
import { machineCount, type Scenario } from "./Scenario.ts"
import * as PostgresAddress from "./postgres/PostgresAddress.ts"
import type { Choice } from "./postgres/PostgresServer.ts"
import { catalogue, needsProcess, type StrategyName, strategyNames } from "./strategies/Catalogue.ts"

export interface LabOptions {
  /** One per run, in the order of the reports. */
  readonly scenarios: readonly [Scenario, ...ReadonlyArray<Scenario>]
  /** `undefined`: files of SQLite. */
  readonly server: Choice | undefined
  /** Version and place of the server, as soon as they are known. */
  readonly serverName?: string
  readonly isVirtual: boolean
  readonly isJson: boolean
  /** Where the HTML report goes. */
  readonly html: string | undefined
}

export type Request =
  | { readonly _tag: "Run"; readonly options: LabOptions }
  /** A text that was asked for. */
  | { readonly _tag: "Help"; readonly text: string }
  /** Arguments that mean nothing. */
  | { readonly _tag: "Misuse"; readonly text: string }

/** What commander makes of the arguments. */
interface Parsed {
  readonly database: Choice["which"] | "sqlite"
  readonly connections?: number
  readonly sessions?: ReadonlyArray<number>
  readonly seconds?: number
  readonly seed: number
  readonly strategies?: ReadonlyArray<StrategyName>
  readonly disk: Scenario["disk"]
  readonly foreignLock?: boolean
  readonly roundTrip: number
  readonly flushInterval: number
  readonly rows: Scenario["rows"]
  readonly virtual?: boolean
  readonly json?: boolean
  readonly html?: string
}

const numberIn =
  (min: number, max: number, isWhole: boolean) =>
  (text: string): number => {
    const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max && (!isWhole || Number.isInteger(value))) return value
    throw new InvalidArgumentError(`It must be a ${isWhole ? "whole " : ""}number from ${min} to ${max}.`)
  }

const listOf =
  <A>(one: (text: string) => A) =>
  (text: string): ReadonlyArray<A> => [...new Set(text.split(",").map((part) => one(part.trim())))]

const strategyNamed = (text: string): StrategyName => {
  const found = strategyNames.find((name) => name === text)
  if (found !== undefined) return found
  throw new InvalidArgumentError(`There is no strategy ${text}; there are ${strategyNames.join(", ")}.`)
}

const wrongAddress = "lab.address"

const databaseNamed = (text: string): Choice["which"] | "sqlite" => {
  if (text === "sqlite" || text === "embedded") return text
  if (text === "postgres") return "found"
  if (!text.includes(":")) {
    throw new InvalidArgumentError("It must be sqlite, postgres, embedded, or postgres://user@host/database.")
  }
  const problem = PostgresAddress.problemOf(text)
  // The address may hold a password, and commander repeats it.
  if (problem !== undefined) throw new CommanderError(1, wrongAddress, `error: --database: ${problem}`)
  return { url: text }
}

/** Of 80 columns, the indent left out. */
const meaningWidth = 76

const strategyTexts = strategyNames
  .map((name) => {
    const meaning = new Help().boxWrap(catalogue[name].meaning, meaningWidth)
    return `  ${name}\n    ${meaning.replaceAll("\n", "\n    ")}`
  })
  .join("\n")

/** Of the server of this project. */
const defaultConnections = 4

/** The rows of the incident, for each connection. */
const sessionsFor = (connections: number): number => (9 + machineCount) * connections - machineCount

const build = (): Command =>
  new Command("npm run lab --")
    .description("Replays the starved writer and its remedies side by side, and measures them.")
    .addOption(
      new Option(
        "--database <which>",
        "sqlite; postgres: the server on 127.0.0.1:5432, or one that is started; embedded: one that is started; " +
          "or postgres://user@host/database"
      )
        .argParser(databaseNamed)
        .default("sqlite")
    )
    .option(
      "--connections <n>",
      `PostgreSQL: connections of each strategy (default: ${defaultConnections})`,
      numberIn(2, 16, true)
    )
    .option(
      "--sessions <list>",
      "sessions that beat, one run each (default: 9; PostgreSQL: 45, as many rows a connection)",
      listOf(numberIn(1, 20_000, true))
    )
    .option(
      "--seconds <n>",
      "time in which arrivals are measured (default: 15, virtual 600)",
      numberIn(1, 86_400, true)
    )
    .option("--seed <n>", "what the workload is made from", numberIn(0, 4_294_967_295, true), 1)
    .option("--strategies <list>", "only these, by name", listOf(strategyNamed))
    .addOption(
      new Option("--disk <kind>", "slow: each wait for the disk is 20 ms longer")
        .choices(["real", "slow"])
        .default("real")
    )
    .option(
      "--foreign-lock",
      "another process takes the write lock (PostgreSQL: the rows of all sessions) now and then"
    )
    .option("--round-trip <ms>", "what a statement costs the engine behind round trips", numberIn(0, 1_000, false), 5)
    .option("--flush-interval <ms>", "time between two ticks", numberIn(10, 60_000, true), 150)
    .addOption(
      new Option("--rows <order>", "how the per-row loop sends the rows of a tick")
        .choices(["together", "in-turn"])
        .default("together")
    )
    .option("--virtual", "in virtual time, many times faster and the same for the same seed")
    .option("--json", "print the figures as JSON and nothing else")
    .option("--html <file>", "write the report with plots into this file")
    .addHelpText("after", `\nStrategies:\n${strategyTexts}\n`)

/** What contradicts what. `undefined`: nothing. */
const contradictionIn = (parsed: Parsed): string | undefined => {
  const isServer = parsed.database !== "sqlite"
  if (isServer && parsed.virtual === true) return "virtual time has one writer, as SQLite: leave out --virtual"
  if (!isServer && parsed.connections !== undefined) return "SQLite has one writer: --connections is for PostgreSQL"
  const impossible = (parsed.strategies ?? []).filter(needsProcess).join(", ")
  if (impossible === "") return undefined
  if (isServer) return `the Prisma client of the lab is one of SQLite: leave out ${impossible}, or --database`
  if (parsed.virtual !== true) return undefined
  return `a real Prisma client has no virtual time: leave out ${impossible}, or --virtual`
}

const requestOf = (parsed: Parsed): Request => {
  const contradiction = contradictionIn(parsed)
  if (contradiction !== undefined) return { _tag: "Misuse", text: `error: ${contradiction}\n` }
  const isVirtual = parsed.virtual === true
  const which = parsed.database === "sqlite" ? undefined : parsed.database
  const connections = which === undefined ? 1 : (parsed.connections ?? defaultConnections)
  const strategies =
    parsed.strategies ?? strategyNames.filter((name) => !((isVirtual || which !== undefined) && needsProcess(name)))
  const sizes = parsed.sessions ?? [which === undefined ? 9 : sessionsFor(connections)]
  const scenarios = sizes.flatMap((sessionCount) =>
    strategyNames
      .filter((name) => strategies.includes(name))
      .map((strategy): Scenario => ({
        strategy,
        sessionCount,
        database: which === undefined ? "sqlite" : "postgres",
        connections,
        seconds: parsed.seconds ?? (isVirtual ? 600 : 15),
        seed: parsed.seed,
        disk: parsed.disk,
        hasForeignLock: parsed.foreignLock === true,
        roundTripMillis: parsed.roundTrip,
        flushIntervalMillis: parsed.flushInterval,
        rows: parsed.rows
      }))
  )
  const [first, ...others] = scenarios
  if (first === undefined) return { _tag: "Misuse", text: "error: nothing to run\n" }
  const html = parsed.html === undefined ? undefined : path.resolve(parsed.html)
  return {
    _tag: "Run",
    options: {
      scenarios: [first, ...others],
      server: which === undefined ? undefined : { which, disk: parsed.disk },
      isVirtual,
      isJson: parsed.json === true,
      html
    }
  }
}

/** Reads the arguments after the name of the program. */
export const parse = (args: ReadonlyArray<string>): Request => {
  let text = ""
  const write = (part: string) => void (text += part)
  const program = build()
    .exitOverride()
    .allowExcessArguments(false)
    .configureOutput({ writeOut: write, writeErr: write })
    .showHelpAfterError("(--help lists what there is)")
  try {
    program.parse([...args], { from: "user" })
  } catch (cause) {
    if (!(cause instanceof CommanderError)) throw cause
    if (cause.code === wrongAddress) return { _tag: "Misuse", text: `${cause.message}\n` }
    return cause.exitCode === 0 ? { _tag: "Help", text } : { _tag: "Misuse", text }
  }
  return requestOf(program.opts<Parsed>())
}
