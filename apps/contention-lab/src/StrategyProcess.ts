/** A strategy in a process of its own, so that neither its event loop nor its memory mixes with another's. */
import { Data, Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Figures } from "./Figures.ts"
import type { Scenario } from "./Scenario.ts"
import type { FromStrategy, ToStrategy } from "./strategyProtocol.ts"

/** The process ended, or said that it could not do it. */
export class StrategyCrashed extends Data.TaggedError("StrategyCrashed")<{
  readonly strategy: string
  readonly detail: string
}> {}

export interface StrategyProcess {
  readonly ready: Effect.Effect<void, StrategyCrashed>
  readonly go: Effect.Effect<void>
  readonly figures: Effect.Effect<Figures, StrategyCrashed>
}

// Seen from the sources, the entry is the built one: Node 20 runs no TypeScript.
const entry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../dist/src/strategyEntry.js" : "./strategyEntry.js", import.meta.url)
)

const start = Effect.acquireRelease(
  Effect.sync(() => fork(entry, { stdio: ["ignore", "ignore", "pipe", "ipc"] })),
  (child: ChildProcess) =>
    Effect.async<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      // It holds nothing but its own file, which is removed next.
      child.kill("SIGKILL")
    })
)

export const make = (scenario: Scenario, target: string): Effect.Effect<StrategyProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const ready = yield* Deferred.make<void, StrategyCrashed>()
    const figures = yield* Deferred.make<Figures, StrategyCrashed>()
    const child = yield* start
    let complaint = ""
    child.stderr?.on("data", (chunk) => (complaint += String(chunk)))
    const crashed = (detail: string) => {
      const failure = Effect.fail(new StrategyCrashed({ strategy: scenario.strategy, detail }))
      Deferred.unsafeDone(ready, failure)
      Deferred.unsafeDone(figures, failure)
    }
    child.once("error", (error) => crashed(error.message))
    child.once("exit", (code, signal) => crashed(`ended early (${signal ?? code})\n${complaint}`))
    child.on("message", (message: FromStrategy) => {
      if (message._tag === "Ready") Deferred.unsafeDone(ready, Effect.void)
      else if (message._tag === "Done") Deferred.unsafeDone(figures, Effect.succeed(message.figures))
      else crashed(message.detail)
    })
    const tell = (message: ToStrategy) => Effect.sync(() => void child.send(message))
    yield* tell({ _tag: "Prepare", scenario, target })
    return { ready: Deferred.await(ready), go: tell({ _tag: "Go" }), figures: Deferred.await(figures) }
  })
