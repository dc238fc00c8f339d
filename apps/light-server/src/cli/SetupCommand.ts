/** `setup`: writes the configuration file, and says what to type into the app and the clients. */
import { Effect } from "effect"
import path from "node:path"
import { renderUnicodeCompact } from "uqr"
import { defaultFile, fileVariable } from "../config/ConfigFileName.ts"
import * as ServerConfig from "../config/ServerConfig.ts"
import * as SetupFile from "../operator/SetupFile.ts"
import * as Arguments from "./Arguments.ts"
import * as Program from "./Program.ts"
import * as SetupQuestions from "./SetupQuestions.ts"
import { command } from "../Version.ts"

export interface Options {
  /** By the names of the variables. */
  readonly settings: { readonly [variable: string]: string }
  readonly isForced: boolean
  /** Asks nothing: what is not given has its default. */
  readonly isQuiet: boolean
  readonly isJson: boolean
}

interface Outcome {
  readonly file: string
  readonly kept: string | null
  readonly settings: { readonly [variable: string]: string }
  /** What clients are told to use. */
  readonly address: string
}

const day = "86400000"

/** What is set, without empty texts; backups are made daily where there is a place for them. */
const complete = (answers: { readonly [variable: string]: string }): Record<string, string> => {
  const daily = answers["HAPPIER_BACKUP_DIR"] ? { HAPPIER_BACKUP_INTERVAL_MS: day } : {}
  return Object.fromEntries(Object.entries({ ...answers, ...daily }).filter(([, text]) => text !== ""))
}

/** The configuration that the file will make, with every problem; a file that is there is not read. */
const checked = (settings: Record<string, string>) => {
  const { [fileVariable]: _, ...environment } = process.env
  const { [fileVariable]: __, ...given } = Arguments.settings()
  return ServerConfig.load({ ...settings, ...environment, ...given })
}

export const render = ({ address, file, kept, settings }: Outcome): string =>
  [
    `wrote ${file}${kept === null ? "" : `; the one from before is ${kept}`}`,
    "",
    `1. Start the server, now and after each boot:  ${command} service install`,
    `2. In the app, set the address of the server:  ${address}`,
    ...(settings["PUBLIC_URL"] === undefined
      ? ["   Only clients on this machine reach it. Set PUBLIC_URL once a proxy or a VPN leads here."]
      : ["   The same for the camera of a phone:", "", renderUnicodeCompact(address, { border: 2 }), ""]),
    `3. On each machine, set it for the command line client and its daemon:  HAPPIER_SERVER_URL=${address}`,
    "   Then log in there again.",
    `4. See that all is well:  ${command} doctor`,
    ""
  ].join("\n")

const program = ({ isForced, isJson, isQuiet, settings: given }: Options) =>
  Effect.gen(function* () {
    const isAsked = !isQuiet && process.stdin.isTTY
    const answers = isAsked ? yield* SetupQuestions.ask(given, process.stdin, process.stderr) : given
    const settings = complete(answers)
    const { config } = yield* checked(settings)
    const named = process.env[fileVariable]
    const file = named === undefined ? path.join(config.dataDirectory, defaultFile) : path.resolve(named)
    const kept = yield* SetupFile.write({ file, settings, isForced })
    const address = config.publicUrl ?? `http://${config.host}:${config.port}`
    const outcome = { file, kept: kept ?? null, settings, address }
    yield* Program.print(isJson ? `${JSON.stringify(outcome, undefined, 2)}\n` : render(outcome))
  })

export const run = (options: Options): void =>
  Program.runCommand(program(options), { withinMillis: 1000, interrupted: "interrupted, nothing was written" })
