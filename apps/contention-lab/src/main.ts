/** The lab as a program: runs what the arguments ask for, and prints the result. */
import { Cause, Effect, Exit, Fiber, Option } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Lab from "./Lab.ts"
import * as Options from "./Options.ts"
import * as PostgresServer from "./postgres/PostgresServer.ts"
import * as ProgressBar from "./ProgressBar.ts"
import * as ReportHtml from "./ReportHtml.ts"
import * as ReportJson from "./ReportJson.ts"
import * as ReportText from "./ReportText.ts"
import * as VirtualLab from "./VirtualLab.ts"

const misuse = 2

/** Told before the runs and not after them. */
const refuseUnwritable = (file: string): void => {
  try {
    fs.accessSync(path.dirname(file), fs.constants.W_OK)
  } catch {
    process.stderr.write(`error: --html ${file}: the folder is not there or takes no files\n`)
    process.exit(misuse)
  }
}

const program = (given: Options.LabOptions) =>
  Effect.gen(function* () {
    const server = given.server === undefined ? undefined : yield* PostgresServer.open(given.server)
    const options = server === undefined ? given : { ...given, serverName: server.name }
    const { html, isVirtual, scenarios } = options
    const figures = yield* Effect.scoped(
      Effect.flatMap(ProgressBar.make, (report) =>
        isVirtual ? VirtualLab.run(scenarios, report) : Lab.run(scenarios, server, report)
      )
    )
    if (html !== undefined) yield* Effect.try(() => fs.writeFileSync(html, ReportHtml.make(figures, options)))
    if (options.isJson) {
      process.stdout.write(`${JSON.stringify(ReportJson.make(figures, options), undefined, 2)}\n`)
      return
    }
    const plots = html === undefined ? "With --html <file>: the same with plots." : `Plots: ${html}`
    process.stdout.write(`${ReportText.make(figures, options, plots)}\n`)
  }).pipe(Effect.scoped)

const run = (options: Options.LabOptions): void => {
  const fiber = Effect.runFork(program(options))
  let interruptedBy: NodeJS.Signals | undefined
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Everything that was started is ended and removed, which takes a moment and happens once.
    process.on(signal, () => {
      if (interruptedBy !== undefined) return
      interruptedBy = signal
      Effect.runFork(Fiber.interrupt(fiber))
    })
  }
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) {
      process.exitCode = 0
      return
    }
    if (interruptedBy !== undefined) process.exit(interruptedBy === "SIGINT" ? 130 : 143)
    const failure = Option.getOrUndefined(Cause.failureOption(exit.cause))
    if (failure instanceof PostgresServer.ServerUnusable) {
      process.stderr.write(`error: --database: ${failure.detail}\n`)
      process.exit(misuse)
    }
    const isCrash = typeof failure === "object" && failure !== null && "detail" in failure && "strategy" in failure
    const text = isCrash ? `${String(failure.strategy)}: ${String(failure.detail)}` : Cause.pretty(exit.cause)
    process.stderr.write(`contention-lab: ${text}\n`)
    process.exit(1)
  })
}

const request = Options.parse(process.argv.slice(2))
if (request._tag === "Run") {
  if (request.options.html !== undefined) refuseUnwritable(request.options.html)
  run(request.options)
} else {
  const stream = request._tag === "Help" ? process.stdout : process.stderr
  stream.write(request.text)
  process.exitCode = request._tag === "Help" ? 0 : misuse
}
