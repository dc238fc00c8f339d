#!/usr/bin/env node
/**
 * The process: arguments, signals, exit codes.
 *
 * @since 0.1.0
 */
import { Cause, Context, Effect, Exit, Fiber, Layer, Option } from "effect"
import { Presence } from "presence-effect/Presence"
import { version } from "./health/HealthRoutes.ts"
import { type DatabaseReplaced, Readiness } from "./health/Readiness.ts"
import * as ExitCode from "./ExitCode.ts"
import { HttpListener } from "./http/HttpListener.ts"
import * as LightServer from "./LightServer.ts"
import * as Logging from "./Logging.ts"
import * as ServerConfig from "./ServerConfig.ts"

const usage = `light-server ${version}

  light-server [serve]    serve until a signal comes
  light-server --help     this text
  light-server --version  the version

Everything else is set by variables of the environment; docs/operations.md lists them.
`

/** Until the configuration is read. */
let shutdownTimeoutMillis = 10_000

/** Rows whose newest state could not be written before the end. */
let lostCount = 0
let presence: Presence["Type"] | undefined

const countLost = Effect.suspend(() => presence?.status ?? Effect.succeed({ pendingCount: 0 })).pipe(
  Effect.flatMap(({ pendingCount }) => {
    lostCount = pendingCount
    return pendingCount === 0
      ? Effect.void
      : Effect.logError("Presence could not be written before the end").pipe(
          Effect.annotateLogs({ code: "PRESENCE_LOST", pendingCount })
        )
  })
)

const complain = (text: string) => process.stderr.write(`light-server: ${text}\n`)

const serve = ({
  config,
  warnings
}: ServerConfig.Loaded): Effect.Effect<never, LightServer.StartFailure | DatabaseReplaced> =>
  Effect.gen(function* () {
    for (const warning of warnings) yield* Effect.logWarning(warning).pipe(Effect.annotateLogs("code", "CONFIG"))
    const server = yield* Layer.build(LightServer.layer(config))
    const { url } = Context.get(server, HttpListener)
    const { publicUrl } = config
    const address = publicUrl === undefined ? url : `${url} (for clients: ${publicUrl})`
    process.stdout.write(`light-server is ready at ${address}, data in ${config.dataDirectory}\n`)
    presence = Context.get(server, Presence)
    return yield* Context.get(server, Readiness).untilReplaced
  }).pipe(
    Effect.scoped,
    Effect.onExit(() => countLost),
    Effect.provide(Logging.layer({ level: config.logLevel }))
  )

const program = Effect.gen(function* () {
  const loaded = yield* ServerConfig.load(process.env)
  shutdownTimeoutMillis = loaded.config.shutdownTimeoutMillis
  return yield* serve(loaded)
})

const run = () => {
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
    setTimeout(() => {
      complain(`the shutdown took longer than ${shutdownTimeoutMillis} ms, ending now`)
      process.exit(ExitCode.failure)
    }, shutdownTimeoutMillis).unref()
    Effect.runFork(Fiber.interrupt(fiber))
  }
  process.on("SIGTERM", end).on("SIGINT", end)

  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) {
      process.exit(lostCount === 0 ? ExitCode.ok : ExitCode.failure)
    }
    const failure = Cause.failureOption(exit.cause)
    complain(Option.match(failure, { onNone: () => Cause.pretty(exit.cause), onSome: ExitCode.describe }))
    process.exit(Option.match(failure, { onNone: () => ExitCode.failure, onSome: ExitCode.of }))
  })
}

const [argument, ...others] = process.argv.slice(2)
if (others.length === 0 && (argument === undefined || argument === "serve")) run()
else if (others.length === 0 && argument === "--help") process.stdout.write(usage)
else if (others.length === 0 && argument === "--version") process.stdout.write(`${version}\n`)
else {
  process.stderr.write(usage)
  process.exitCode = ExitCode.usage
}
