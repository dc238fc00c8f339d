/** Builds the strategy of a scenario on a real file. */
import { Effect, type Scope } from "effect"
import * as SqliteReader from "presence-effect/node/SqliteReader"
import * as SqliteThread from "presence-effect/node/SqliteThread"
import type { Engine } from "../engines/Engine.ts"
import * as FifoEngine from "../engines/FifoEngine.ts"
import * as PrismaEngine from "../engines/PrismaEngine.ts"
import * as RoundTripThread from "../engines/RoundTripThread.ts"
import type { Run } from "../Run.ts"
import { engineTimeoutMillis, slowSyncMillis } from "../Scenario.ts"
import { entryOf } from "./Catalogue.ts"
import * as Flush from "./Flush.ts"
import * as FlushLoop from "./FlushLoop.ts"
import * as PresenceEffect from "./PresenceEffect.ts"
import * as SqliteHouse from "./SqliteHouse.ts"
import type { Strategy } from "./Strategy.ts"

const engineOf = (run: Run, filename: string): Effect.Effect<Engine, never, Scope.Scope> => {
  const { disk, roundTripMillis, strategy } = run.scenario
  if (entryOf(strategy).place === "in process") return PrismaEngine.make({ run, filename })
  const syncMillis = disk === "slow" ? slowSyncMillis : 0
  return Effect.flatMap(
    RoundTripThread.make({ filename, roundTripMillis, syncMillis, busyMillis: engineTimeoutMillis }),
    (cross) => FifoEngine.make(run, [cross])
  )
}

export const make = (run: Run, filename: string): Effect.Effect<Strategy, unknown, Scope.Scope> => {
  const { shape } = entryOf(run.scenario.strategy)
  if (shape === "presence-effect") {
    const connection = SqliteThread.layer({ filename })
    const reader = SqliteReader.layer({ filename })
    return PresenceEffect.make(run, SqliteHouse.layer({ run, connection, reader }))
  }
  return Effect.flatMap(engineOf(run, filename), (engine) =>
    FlushLoop.make(run, engine, Flush.of(shape, engine, run.scenario))
  )
}
