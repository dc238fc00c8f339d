/** `config`: the configuration as the server understands it. */
import { Effect } from "effect"
import * as ConfigTable from "../config/ConfigTable.ts"
import * as KnobTable from "../config/KnobTable.ts"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as Arguments from "./Arguments.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"
import * as TextTable from "./TextTable.ts"

export interface Options {
  readonly action: "print" | "check" | "schema"
  readonly isJson: boolean
}

const knobs = KnobTable.knobsOf(ServerConfig.rooms)

const toText = (settings: ReadonlyArray<ConfigTable.Setting>): string => {
  const rows = settings.map(({ name, origin, unit, value }) => [name, value, unit, origin])
  return `${TextTable.aligned([["variable", "value", "unit", "origin"], ...rows]).join("\n")}\n`
}

const json = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`

/** Warnings go to standard error. Fails with every problem at once. */
const checked = Effect.tap(Configuration.load, ({ warnings }) =>
  Effect.sync(() => {
    for (const warning of warnings) Program.complain(warning)
  })
)

const printed = (isJson: boolean) =>
  Effect.gen(function* () {
    const { config } = yield* checked
    const sources = yield* ServerConfig.readSources(process.env, Arguments.settings())
    const settings = knobs.map((knob) => ConfigTable.settingOf(knob, sources))
    // What follows from the settings: a secret says `<redacted>`, one that is not set is absent.
    return isJson ? json({ settings, resolved: config }) : toText(settings)
  })

const texts = {
  print: printed,
  check: (isJson: boolean) =>
    Effect.map(checked, ({ warnings }) => (isJson ? json({ warnings }) : "the configuration can be used\n")),
  schema: () => Effect.succeed(json(ConfigTable.schemaOf(knobs)))
}

/** Prints and ends the process. */
export const run = ({ action, isJson }: Options): void =>
  Program.runCommand(Effect.flatMap(texts[action](isJson), Program.print), { withinMillis: 1000 })
