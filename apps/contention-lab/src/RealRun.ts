/** One run on a real database, in this process. */
import { Effect, type Scope } from "effect"
import { fork } from "node:child_process"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import type { Figures } from "./Figures.ts"
import type { ForeignOrder } from "./foreignEntry.ts"
import * as FileDatabase from "./FileDatabase.ts"
import * as Meter from "./Meter.ts"
import * as PostgresDatabase from "./postgres/PostgresDatabase.ts"
import type { RealDatabase } from "./RealDatabase.ts"
import * as Replay from "./Replay.ts"
import type { Run } from "./Run.ts"
import type { Scenario } from "./Scenario.ts"
import * as Stopwatch from "./Stopwatch.ts"
import * as Workload from "./Workload.ts"

/** The monitor wakes up every so often, and counts that as a delay. */
const monitorMillis = 10

// Seen from the sources, the entry is the built one: Node 20 runs no TypeScript.
const foreignEntry = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../dist/src/foreignEntry.js" : "./foreignEntry.js", import.meta.url)
)

/** Starts the process that takes the lock. What it returns lets it begin. */
const foreignProcess = (order: ForeignOrder): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> =>
  order.holds.length === 0
    ? Effect.succeed(Effect.void)
    : Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => fork(foreignEntry, { stdio: "ignore" })),
          (child) =>
            Effect.async<void>((resume) => {
              if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
              child.once("exit", () => resume(Effect.void))
              child.kill("SIGKILL")
            })
        ),
        (child) => Effect.sync(() => void child.send(order))
      )

/** `target`: a file of SQLite, or the address of a schema. */
const databaseOf = ({ database }: Scenario, target: string): RealDatabase =>
  database === "postgres" ? PostgresDatabase.make(target) : FileDatabase.make(target)

/** Builds everything up to the first arrival. What it returns plays the scenario. */
export const prepare = (
  scenario: Scenario,
  target: string
): Effect.Effect<Effect.Effect<Figures, never, Scope.Scope>, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const workload = Workload.make(scenario)
    const database = databaseOf(scenario, target)
    yield* database.prepare(workload, Date.now())
    const stopwatch = yield* Stopwatch.make
    const run: Run = { scenario, meter: Meter.make(), elapsedMillis: stopwatch.elapsedMillis }
    const strategy = yield* database.strategy(run)
    const takeLocks = yield* foreignProcess({ database: scenario.database, target, holds: workload.foreignHolds })
    return Effect.gen(function* () {
      const loop = monitorEventLoopDelay({ resolution: monitorMillis })
      loop.enable()
      yield* Replay.replay({ run, stopwatch, workload, strategy, takeLocks })
      loop.disable()
      const reading = run.meter.read(stopwatch.elapsedMillis(), scenario.seconds * 1_000)
      return {
        strategy: scenario.strategy,
        sessionCount: scenario.sessionCount,
        database: scenario.database,
        ...reading,
        loopGapMaxMillis: Math.max(0, loop.max / 1e6 - monitorMillis),
        evidence: yield* database.examine(run.meter.acknowledged(), Date.now())
      }
    })
  })
