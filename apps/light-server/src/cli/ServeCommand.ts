/** `serve`: the server as a process. */
import { Context, Effect, Layer } from "effect"
import { Presence } from "../entities/Presence.ts"
import { Writer } from "presence-effect/writer/Writer"
import * as ServiceNotifier from "../admin/ServiceNotifier.ts"
import * as ExitCode from "../ExitCode.ts"
import { type DatabaseGivenUp, type DatabaseReplaced, Readiness } from "../health/Readiness.ts"
import { HttpListener } from "../http/HttpListener.ts"
import * as LightServer from "../LightServer.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import * as ShutdownBudget from "../ShutdownBudget.ts"
import * as Traces from "../tracing/Traces.ts"
import * as Logging from "../log/Logging.ts"
import type * as ServerConfig from "../config/ServerConfig.ts"
import * as ServerKnobs from "../config/ServerKnobs.ts"
import * as Configuration from "./Configuration.ts"
import * as Program from "./Program.ts"
import { programName } from "../Version.ts"

/** Until the configuration is read. */
let shutdownTimeoutMillis = ServerKnobs.knobs.shutdownTimeoutMillis.fallback

/** Rows whose newest state could not be written before the end, through a fault of this server's own disk. */
let lostCount = 0

/** Whether the file turned out damaged: a supervisor must know this before it starts the server again. */
let isDamaged = false

/**
 * Asked after the last flush. A lock held by another process is not a fault of this server, and reconnecting clients
 * report the pending rows again: that is logged, and not a failure.
 */
const countLost = (presence: Presence["Type"], writer: Writer["Type"]) =>
  Effect.gen(function* () {
    const { pendingCount } = yield* presence.status
    const cause = (yield* writer.status).lastFailure?.tag
    isDamaged = cause === "DatabaseCorrupt"
    if (pendingCount === 0) return
    if (cause !== "DatabaseBusy") lostCount = pendingCount
    yield* Effect.logError("Presence could not be written before the end").pipe(
      Effect.annotateLogs({ code: "PRESENCE_LOST", pendingCount, cause })
    )
  })

/** What is asked of a server that has ended. */
let served: Effect.Effect<void> = Effect.void

const serve = ({
  config,
  warnings
}: ServerConfig.Loaded): Effect.Effect<never, LightServer.StartFailure | DatabaseReplaced | DatabaseGivenUp> =>
  Effect.gen(function* () {
    for (const warning of warnings) yield* Effect.logWarning(warning).pipe(Effect.annotateLogs("code", "CONFIG"))
    const notifier = ServiceNotifier.layer({ environment: process.env })
    const { shutdownBudget, tracing } = config
    // Built first and closed last: the spans of the shutdown are sent too.
    const traces = Traces.layer(tracing, shutdownBudget.traces).pipe(
      ShutdownBudget.closeWithin("traces", shutdownBudget.traces)
    )
    const server = yield* notifier.pipe(
      Layer.provideMerge(LightServer.layer(config)),
      Layer.provide(traces),
      Layer.build
    )
    const { url } = Context.get(server, HttpListener)
    const { publicUrl } = config
    const address = publicUrl === undefined ? url : `${url} (for clients: ${publicUrl})`
    process.stdout.write(`${programName} is ready at ${address}, data in ${config.dataDirectory}\n`)
    served = countLost(Context.get(server, Presence), Context.get(server, Writer))
    const { untilTaken } = Context.get(server, InstanceLock.InstanceLock)
    return yield* Effect.raceFirst(Context.get(server, Readiness).untilUnusable, untilTaken)
  }).pipe(
    Effect.scoped,
    Effect.onExit(() => Effect.suspend(() => served)),
    Effect.provide(Logging.layer({ level: config.logLevel }))
  )

const program = Effect.gen(function* () {
  const loaded = yield* Configuration.load
  shutdownTimeoutMillis = loaded.config.shutdownTimeoutMillis
  return yield* serve(loaded)
})

/** Serves until a signal comes, and ends the process. */
export const run = (): void => {
  const code = () => (isDamaged ? ExitCode.storage : lostCount === 0 ? ExitCode.ok : ExitCode.failure)
  Program.run(program, { shutdownTimeoutMillis: () => shutdownTimeoutMillis, success: code, interrupted: code })
}
