/** What commands that ask the running server have in common. */
import { Effect, Logger, LogLevel, type Schema } from "effect"
import * as AdminClient from "../admin/AdminClient.ts"
import type * as ExitCode from "../ExitCode.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"

/** Asks the server of the configuration. */
export const ask = <A, I>(request: AdminClient.Request, answer: Schema.Schema<A, I>) =>
  Effect.flatMap(Configuration.load, ({ config }) => AdminClient.ask(config.dataDirectory, request, answer))

/** The answer as one JSON value, or as text. */
export const print = <A>(value: A, isJson: boolean, toText: (value: A) => string): Effect.Effect<void> =>
  Program.print(isJson ? `${JSON.stringify(value, undefined, 2)}\n` : toText(value))

/** Runs the command and ends the process. A signal ends it; what the server was asked for may be done all the same. */
export const run = (program: Effect.Effect<unknown, ExitCode.EndFailure>): void =>
  Program.runCommand(Logger.withMinimumLogLevel(program, LogLevel.Warning), { withinMillis: 5000 })
