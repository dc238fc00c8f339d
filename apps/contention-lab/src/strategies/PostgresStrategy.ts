/** Builds the strategy of a scenario on a schema of PostgreSQL. */
import { Effect, type Scope } from "effect"
import * as FarServer from "../engines/FarServer.ts"
import * as FifoEngine from "../engines/FifoEngine.ts"
import * as PostgresCrossing from "../engines/PostgresCrossing.ts"
import type { Run } from "../Run.ts"
import { entryOf } from "./Catalogue.ts"
import * as Flush from "./Flush.ts"
import * as FlushLoop from "./FlushLoop.ts"
import * as PostgresHouse from "./PostgresHouse.ts"
import * as PresenceEffect from "./PresenceEffect.ts"
import type { Strategy } from "./Strategy.ts"

export const make = (run: Run, near: string): Effect.Effect<Strategy, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { connections, database, roundTripMillis, strategy } = run.scenario
    const { place, shape } = entryOf(strategy, database)
    const isFar = place === "behind round trips" && roundTripMillis > 0
    const url = isFar ? yield* FarServer.make(near, roundTripMillis) : near
    if (shape === "presence-effect") return yield* PresenceEffect.make(run, PostgresHouse.layer(run, url))
    const crossings = yield* Effect.all(Array.from({ length: connections }, () => PostgresCrossing.make(url)))
    const engine = yield* FifoEngine.make(run, crossings, "BEGIN")
    return yield* FlushLoop.make(run, engine, Flush.of(shape, engine, run.scenario))
  })
