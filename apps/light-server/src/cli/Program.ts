/** The one effect of a command, run as a process: signals end it, and its exit determines the exit code. */
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import * as ExitCode from "../ExitCode.ts"
import * as SignalRepetition from "./SignalRepetition.ts"
import { programName } from "../Version.ts"

export interface Terms {
  /** Longest time from a signal to the end. Read when the signal comes. */
  readonly shutdownTimeoutMillis: () => number
  /** Code of the process when the effect succeeds. Read at the end. */
  readonly success: () => number
  /** The same when a signal ended it. */
  readonly interrupted: () => number
}

/** Writes one line to standard error. */
export const complain = (text: string): void => void process.stderr.write(`${programName}: ${text}\n`)

/** Writes to standard output, and waits until it is written: the process may end right after. */
export const print = (text: string): Effect.Effect<void> =>
  Effect.async((resume) => void process.stdout.write(text, () => resume(Effect.void)))

/** Runs the effect and ends the process with it. */
export const run = (program: Effect.Effect<unknown, ExitCode.EndFailure>, terms: Terms): void => {
  // Database files and backups are private to the user of the server.
  process.umask(0o077)
  const fiber = Effect.runFork(program)

  const repetition = SignalRepetition.make(process.env["npm_lifecycle_event"] !== undefined)
  const end = (signal: NodeJS.Signals) => {
    const meaning = repetition.hear(performance.now())
    if (meaning === "echo") return
    if (meaning === "again") {
      complain(`${signal} again, ending at once`)
      process.exit(ExitCode.failure)
    }
    const limitMillis = terms.shutdownTimeoutMillis()
    setTimeout(() => {
      complain(`the shutdown took longer than ${limitMillis} ms, ending now`)
      process.exit(ExitCode.failure)
    }, limitMillis).unref()
    Effect.runFork(Fiber.interrupt(fiber))
  }
  // A terminal that is closed sends SIGHUP, and Node undoes what nohup has set.
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, end)

  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) process.exit(terms.success())
    if (Cause.isInterruptedOnly(exit.cause)) process.exit(terms.interrupted())
    const failure = Cause.failureOption(exit.cause)
    complain(Option.match(failure, { onNone: () => Cause.pretty(exit.cause), onSome: ExitCode.describe }))
    process.exit(Option.match(failure, { onNone: () => ExitCode.failure, onSome: ExitCode.of }))
  })
}

/** How a command that does one thing ends. */
export interface CommandTerms {
  /** Longest time from a signal to the end. */
  readonly withinMillis: number
  /** What a signal left undone, for standard error. Without it nothing is said. */
  readonly interrupted?: string
}

/** Runs a command that does one thing: 0 when it is done, 1 when a signal ended it. */
export const runCommand = (
  program: Effect.Effect<unknown, ExitCode.EndFailure>,
  { interrupted, withinMillis }: CommandTerms
): void =>
  run(program, {
    shutdownTimeoutMillis: () => withinMillis,
    success: () => ExitCode.ok,
    interrupted: () => {
      if (interrupted !== undefined) complain(interrupted)
      return ExitCode.failure
    }
  })
