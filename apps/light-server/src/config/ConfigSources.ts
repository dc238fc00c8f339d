/** Where settings come from: arguments before the environment, the environment before the file. */
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { Knob } from "../ConfigKnob.ts"
import * as ConfigFile from "./ConfigFile.ts"
import { defaultFile, fileVariable } from "./ConfigFileName.ts"
import { type Environment, textOf } from "./Environment.ts"
import * as HomeDirectory from "./HomeDirectory.ts"
import * as OtherNames from "./OtherNames.ts"

export interface Sources {
  /** All that is set, by name. */
  readonly environment: Environment
  /** Where the value of a name comes from: `argument`, `environment`, or the file. */
  readonly originOf: (name: string) => string | undefined
  /** With the file, and with names of arguments. */
  readonly problems: ReadonlyArray<string>
}

/** Settings by any of their names. */
interface Given {
  readonly [name: string]: string
}

const namesOf = ({ aliases, name }: Knob<unknown>) => [name, ...aliases]

/** The file that is named, or the one in the data directory if there is one. */
const locate = (environment: Environment, dataDirectory: Knob<unknown>): string | undefined => {
  const named = textOf(environment, fileVariable)
  if (named !== undefined) return path.resolve(named)
  const directory = textOf(environment, dataDirectory.name) ?? dataDirectory.fallbackText
  const expanded = HomeDirectory.expand(directory, environment)
  if (expanded._tag === "Left") return undefined
  const file = path.resolve(expanded.right, defaultFile)
  return fs.existsSync(file) ? file : undefined
}

/** A name that is not known is more likely a misspelling than a wish. */
const unknownIn = (given: Given, place: string, knobs: ReadonlyArray<Knob<unknown>>): ReadonlyArray<string> =>
  Object.keys(given).flatMap((name) => {
    const problem = OtherNames.problemOf(name, knobs)
    return problem === undefined ? [] : [`${place}: ${problem}`]
  })

/** In the default place the file cannot move the directory that it lies in. */
const misplacedIn = (given: Given, file: string, isNamed: boolean, dataDirectory: Knob<unknown>) =>
  !isNamed && given[dataDirectory.name] !== undefined
    ? [`${file}: ${dataDirectory.name} cannot be set here; name the file with ${fileVariable}, outside the directory`]
    : []

const looseMode = (given: Given, file: string, knobs: ReadonlyArray<Knob<unknown>>): ReadonlyArray<string> => {
  const hasSecret = knobs.some((knob) => knob.name === "HANDY_MASTER_SECRET" && given[knob.name] !== undefined)
  return hasSecret && process.platform !== "win32" && (fs.statSync(file).mode & 0o077) !== 0
    ? [`${file} holds a secret, and others may read it; run: chmod 600 ${file}`]
    : []
}

/** Merges the sources. A setting that one source gives under any of its names is not taken from a later one. */
const merge = (
  sources: ReadonlyArray<{ readonly origin: string; readonly given: Given | Environment }>,
  knobs: ReadonlyArray<Knob<unknown>>
) => {
  const environment: Record<string, string | undefined> = {}
  const origins = new Map<string, string>()
  const groups = new Map(knobs.flatMap((knob) => namesOf(knob).map((name) => [name, knob.name] as const)))
  const taken = new Map<string, string>()
  for (const { given, origin } of sources) {
    for (const name of Object.keys(given)) {
      const group = groups.get(name) ?? name
      if (textOf(given, name) === undefined || (taken.get(group) ?? origin) !== origin) continue
      taken.set(group, origin)
      environment[name] = given[name]
      origins.set(name, origin)
    }
  }
  return { environment, originOf: (name: string) => origins.get(name) }
}

export interface Options {
  readonly environment: Environment
  /** Of `--set`. */
  readonly given: Given
  readonly knobs: ReadonlyArray<Knob<unknown>>
  readonly dataDirectory: Knob<unknown>
}

export const read = ({ dataDirectory, environment, given, knobs }: Options): Effect.Effect<Sources> =>
  Effect.gen(function* () {
    const before = { ...environment, ...given }
    const file = locate(before, dataDirectory)
    const isNamed = textOf(before, fileVariable) !== undefined
    const { problems, values } =
      file === undefined ? { problems: [], values: {} } : yield* Effect.promise(() => ConfigFile.read(file))
    const origin = `file ${file ?? ""}`
    const { [fileVariable]: _, ...settings } = given
    return {
      ...merge(
        [
          { origin: "argument", given: settings },
          { origin: "environment", given: environment },
          { origin, given: values }
        ],
        knobs
      ),
      problems: [
        ...problems,
        ...unknownIn(settings, "--set", knobs),
        ...(file === undefined
          ? []
          : [
              ...unknownIn(values, file, knobs),
              ...misplacedIn(values, file, isNamed, dataDirectory),
              ...looseMode(values, file, knobs)
            ])
      ]
    }
  })
