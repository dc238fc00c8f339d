/**
 * One run in virtual time: the same workload, strategies and lanes, over a database in memory that takes no time.
 *
 * What takes time is modelled: a statement that crosses, a commit that waits for the disk, a call into a thread. So the
 * figures are those of the waiting alone, on a machine that is never busy, and the seed repeats them to the last digit.
 */
import Database from "better-sqlite3"
import { Clock, Deferred, Effect, Layer, type Scope } from "effect"
import * as SqliteFault from "presence-effect/sqlite/SqliteFault"
import { PresenceReader } from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
import type { Statement, StatementResult } from "presence-effect/writer/Write"
import { EngineFailed } from "./engines/Engine.ts"
import * as FifoEngine from "./engines/FifoEngine.ts"
import type { Figures } from "./Figures.ts"
import * as LabDatabase from "./LabDatabase.ts"
import * as Meter from "./Meter.ts"
import * as Replay from "./Replay.ts"
import type { Run } from "./Run.ts"
import { type Scenario, slowSyncMillis } from "./Scenario.ts"
import * as Stopwatch from "./Stopwatch.ts"
import { entryOf } from "./strategies/Catalogue.ts"
import * as Flush from "./strategies/Flush.ts"
import * as FlushLoop from "./strategies/FlushLoop.ts"
import * as PresenceEffect from "./strategies/PresenceEffect.ts"
import * as SqliteHouse from "./strategies/SqliteHouse.ts"
import type { Strategy } from "./strategies/Strategy.ts"
import * as VirtualTime from "./VirtualTime.ts"
import * as Workload from "./Workload.ts"

/** A day like any other. Nothing depends on it. */
const startMillis = Date.UTC(2026, 0, 1)

/** A small write through a thread, as measured: there and back, and its work. */
const threadMillis = 0.3

/** A lock that others take. */
interface ForeignLock {
  readonly hold: (millis: number) => Effect.Effect<void>
  /** Waits for it, as SQLite does inside the engine. */
  readonly wait: Effect.Effect<void>
}

const makeForeignLock = (onLock: () => void, onUnlock: () => void): ForeignLock => {
  let released: Deferred.Deferred<void> | undefined
  return {
    wait: Effect.suspend(() => (released === undefined ? Effect.void : Deferred.await(released))),
    hold: (millis) =>
      Effect.gen(function* () {
        const end = (released = yield* Deferred.make<void>())
        onLock()
        yield* Clock.sleep(millis)
        onUnlock()
        released = undefined
        yield* Deferred.succeed(end, undefined)
      })
  }
}

type Perform = (statement: Pick<Statement, "sql" | "params">) => StatementResult

/** Each text is prepared once: a virtual hour runs them by the hundred thousand. */
const performOn = (database: Database.Database): Perform => {
  const prepared = new Map<string, Database.Statement>()
  return ({ params, sql }) => {
    const known = prepared.get(sql)
    const statement = known ?? database.prepare(sql)
    if (known === undefined) prepared.set(sql, statement)
    if (!statement.reader) return { rows: [], changes: statement.run(...params).changes }
    const rows = statement.all(...params) as StatementResult["rows"]
    return { rows, changes: rows.length }
  }
}

/** A database in memory has no locks: the lock of other processes is modelled where the transaction begins. */
const crossing = (perform: Perform, scenario: Scenario, foreign: ForeignLock): FifoEngine.Crossing => {
  const syncMillis = scenario.disk === "slow" ? slowSyncMillis : 0
  const performing: FifoEngine.Crossing = (statement) =>
    Effect.try({
      try: () => void perform(statement),
      catch: (cause) => new EngineFailed({ detail: String(cause) })
    })
  return (statement) => {
    const sleep = Clock.sleep(scenario.roundTripMillis + (statement.sql === "COMMIT" ? syncMillis : 0))
    const arrived = statement.sql.startsWith("BEGIN") ? Effect.zipRight(sleep, foreign.wait) : sleep
    return Effect.zipRight(arrived, performing(statement))
  }
}

interface Model {
  readonly strategy: Strategy
  readonly foreign: ForeignLock
}

const modelOfFifo = (run: Run, database: Database.Database): Effect.Effect<Model, never, Scope.Scope> =>
  Effect.gen(function* () {
    const nothing = () => undefined
    const foreign = makeForeignLock(nothing, nothing)
    const engine = yield* FifoEngine.make(run, [crossing(performOn(database), run.scenario, foreign)])
    const flush = Flush.of(entryOf(run.scenario.strategy).shape, engine, run.scenario)
    return { foreign, strategy: yield* FlushLoop.make(run, engine, flush) }
  })

const modelOfPresenceEffect = (run: Run, database: Database.Database): Effect.Effect<Model, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const perform = performOn(database)
    const engine = yield* SimulatedConnection.make({
      latency: threadMillis,
      evaluate: (statement) => {
        try {
          return perform(statement)
        } catch (cause) {
          return SqliteFault.make({ code: "SQLITE_ERROR", detail: String(cause), phase: "statement" })
        }
      }
    })
    const reader = Layer.succeed(PresenceReader, {
      query: (sql, params) => Effect.sync(() => database.prepare(sql).all(...params))
    })
    const strategy = yield* PresenceEffect.make(run, SqliteHouse.layer({ run, connection: engine.layer, reader }))
    return { strategy, foreign: makeForeignLock(engine.lock, engine.unlock) }
  })

const program = (scenario: Scenario): Effect.Effect<Figures, unknown> =>
  Effect.scoped(
    Effect.gen(function* () {
      const workload = Workload.make(scenario)
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new Database(":memory:")),
        (database) => Effect.sync(() => database.close())
      )
      LabDatabase.prepare(database, workload, yield* Clock.currentTimeMillis)
      const stopwatch = yield* Stopwatch.make
      const run: Run = { scenario, meter: Meter.make(), elapsedMillis: stopwatch.elapsedMillis }
      const isOurs = entryOf(scenario.strategy).shape === "presence-effect"
      const model = isOurs ? modelOfPresenceEffect(run, database) : modelOfFifo(run, database)
      const { foreign, strategy } = yield* model
      const takeLocks = Effect.forEach(
        workload.foreignHolds,
        ({ atMillis, holdMillis }) => Effect.zipRight(Replay.sleepUntil({ run }, atMillis), foreign.hold(holdMillis)),
        { discard: true }
      )
      yield* Replay.replay({ run, stopwatch, workload, strategy, takeLocks })
      return {
        strategy: scenario.strategy,
        sessionCount: scenario.sessionCount,
        database: scenario.database,
        ...run.meter.read(stopwatch.elapsedMillis(), scenario.seconds * 1_000),
        loopGapMaxMillis: undefined,
        evidence: LabDatabase.examine(database, run.meter.acknowledged(), yield* Clock.currentTimeMillis)
      }
    })
  )

export const run = (
  scenario: Scenario,
  onProgress?: (elapsedMillis: number) => void
): Effect.Effect<Figures, unknown> =>
  VirtualTime.run(program(scenario), {
    seed: scenario.seed,
    startMillis,
    ...(onProgress === undefined ? {} : { onProgress })
  })
