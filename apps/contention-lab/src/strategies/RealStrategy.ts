/** Builds the strategy of a scenario on a real file. */
import { Effect, type Scope } from "effect"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import type { Engine } from "../engines/Engine.ts"
import * as FifoEngine from "../engines/FifoEngine.ts"
import * as PrismaEngine from "../engines/PrismaEngine.ts"
import * as RoundTripThread from "../engines/RoundTripThread.ts"
import type { Run } from "../Run.ts"
import { engineTimeoutMillis, type Scenario, slowSyncMillis } from "../Scenario.ts"
import * as CaseWhen from "./CaseWhen.ts"
import { type Entry, entryOf } from "./Catalogue.ts"
import * as FlushLoop from "./FlushLoop.ts"
import * as OneTransaction from "./OneTransaction.ts"
import * as PerRow from "./PerRow.ts"
import * as PresenceEffect from "./PresenceEffect.ts"
import type { Strategy } from "./Strategy.ts"

/** How the ticks of a strategy that is not this project are written. */
export const flushOf = (shape: Entry["shape"], engine: Engine, scenario: Scenario): FlushLoop.Flush => {
  if (shape === "per-row") return PerRow.flush(engine, scenario)
  return shape === "one-transaction" ? OneTransaction.flush(engine) : CaseWhen.flush(engine)
}

const engineOf = (run: Run, filename: string): Effect.Effect<Engine, never, Scope.Scope> => {
  const { disk, roundTripMillis, strategy } = run.scenario
  if (entryOf(strategy).place === "in process") return PrismaEngine.make({ run, filename })
  const syncMillis = disk === "slow" ? slowSyncMillis : 0
  return Effect.flatMap(
    RoundTripThread.make({ filename, roundTripMillis, syncMillis, busyMillis: engineTimeoutMillis }),
    (cross) => FifoEngine.make(run, cross)
  )
}

export const make = (run: Run, filename: string): Effect.Effect<Strategy, unknown, Scope.Scope> => {
  const { shape } = entryOf(run.scenario.strategy)
  if (shape === "presence-effect") {
    const connection = SqliteThread.layer({ filename })
    return PresenceEffect.make({ run, connection, reader: SqliteReader.layer({ filename }) })
  }
  return Effect.flatMap(engineOf(run, filename), (engine) =>
    FlushLoop.make(run, engine, flushOf(shape, engine, run.scenario))
  )
}
