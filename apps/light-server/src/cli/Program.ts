/** The one effect of a command, run as a process: signals end it, and its exit says how it went. */
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import * as ExitCode from "../ExitCode.ts"

export interface Terms {
  /** Longest time from a signal to the end. Read when the signal comes. */
  readonly shutdownTimeoutMillis: () => number
  /** Code of the process when the effect succeeds. Read at the end. */
  readonly success: () => number
  /** The same when a signal ended it. */
  readonly interrupted: () => number
}

/** One line for whoever started the program. */
export const complain = (text: string): void => void process.stderr.write(`light-server: ${text}\n`)

/** Runs the effect and ends the process with it. */
export const run = (program: Effect.Effect<unknown, ExitCode.EndFailure>, terms: Terms): void => {
  // Files of the database and of backups are nobody else's business.
  process.umask(0o077)
  const fiber = Effect.runFork(program)

  let isEnding = false
  const end = (signal: NodeJS.Signals) => {
    if (isEnding) {
      complain(`${signal} again, ending at once`)
      process.exit(ExitCode.failure)
    }
    isEnding = true
    const limitMillis = terms.shutdownTimeoutMillis()
    setTimeout(() => {
      complain(`the shutdown took longer than ${limitMillis} ms, ending now`)
      process.exit(ExitCode.failure)
    }, limitMillis).unref()
    Effect.runFork(Fiber.interrupt(fiber))
  }
  process.on("SIGTERM", end).on("SIGINT", end)

  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) process.exit(terms.success())
    if (Cause.isInterruptedOnly(exit.cause)) process.exit(terms.interrupted())
    const failure = Cause.failureOption(exit.cause)
    complain(Option.match(failure, { onNone: () => Cause.pretty(exit.cause), onSome: ExitCode.describe }))
    process.exit(Option.match(failure, { onNone: () => ExitCode.failure, onSome: ExitCode.of }))
  })
}
