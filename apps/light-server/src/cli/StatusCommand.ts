/** `status`: how the running server is. */
import { Clock, Effect, Schedule } from "effect"
import * as AdminClient from "../admin/AdminClient.ts"
import * as AdminProtocol from "../admin/AdminProtocol.ts"
import * as ExitCode from "../ExitCode.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"
import * as StatusText from "./StatusText.ts"

export interface Options {
  readonly isJson: boolean
  readonly isWatched: boolean
}

const request = { method: "GET", path: "/v1/status" } as const

/** Begins the screen anew, on a terminal. */
const clear = "\u001B[H\u001B[2J"

let isReady = false

const once = (directory: string, { isJson, isWatched }: Options) =>
  Effect.gen(function* () {
    const status = yield* AdminClient.ask(directory, request, AdminProtocol.Status)
    isReady = status.isReady
    // Of a series each sample is one line, which programs can read while the series goes on.
    const text = isJson
      ? `${JSON.stringify(status, undefined, isWatched ? undefined : 2)}\n`
      : StatusText.render(status, yield* Clock.currentTimeMillis)
    yield* Program.print(isWatched && !isJson && process.stdout.isTTY ? `${clear}${text}` : text)
  })

const program = (options: Options) =>
  Effect.gen(function* () {
    const { config } = yield* Configuration.load
    const sample = once(config.dataDirectory, options)
    if (!options.isWatched) return yield* sample
    // A server that is restarted meanwhile comes back.
    const patient = Effect.catchAll(sample, (failure) =>
      Effect.sync(() => {
        isReady = false
        Program.complain(failure.message)
      })
    )
    yield* Effect.repeat(patient, Schedule.spaced("1 second"))
  })

/** Prints and ends the process, with code 1 for a server that is not ready. */
export const run = (options: Options): void =>
  Program.run(program(options), {
    shutdownTimeoutMillis: () => 5000,
    success: () => (isReady ? ExitCode.ok : ExitCode.failure),
    interrupted: () => ExitCode.ok
  })
