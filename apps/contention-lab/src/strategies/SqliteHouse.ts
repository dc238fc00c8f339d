/** The storage and the writer of this project on SQLite, over any connection. */
import { Clock, Effect, Layer } from "effect"
import * as SqlitePresenceStorage from "presence-effect/sqlite/SqlitePresenceStorage"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as Writer from "presence-effect/writer/Writer"
import { kinds } from "../PresenceKey.ts"
import type { Run } from "../Run.ts"
import { slowSyncMillis } from "../Scenario.ts"
import { entryOf } from "./Catalogue.ts"

export interface House<E> {
  readonly run: Run
  readonly connection: Layer.Layer<SqliteConnection, E>
  readonly reader: Layer.Layer<SqlitePresenceStorage.PresenceReader, E>
}

/**
 * The same connection, measured, and with the delays of the scenario: a write is sent as a whole, so it is delayed by
 * one round trip. A slow disk delays what waits for the disk, and heartbeats do not wait for it.
 */
const metered = (run: Run) =>
  Layer.effect(
    SqliteConnection,
    Effect.map(SqliteConnection, (connection) => {
      const isAway = entryOf(run.scenario.strategy).place === "behind round trips"
      const crossing = isAway ? run.scenario.roundTripMillis : 0
      const sync = run.scenario.disk === "slow" ? slowSyncMillis : 0
      return SqliteConnection.of({
        ...connection,
        run: (group, durability) =>
          Effect.suspend(() => {
            const startedAt = run.elapsedMillis()
            const delay = crossing + (durability === "power-loss" ? sync : 0)
            const answer = connection.run(group, durability)
            return Effect.ensuring(
              delay > 0 ? Effect.zipRight(Clock.sleep(delay), answer) : answer,
              Effect.sync(() => run.meter.held(run.elapsedMillis() - startedAt))
            )
          })
      })
    })
  )

export const layer = <E>({ connection, reader, run }: House<E>) =>
  SqlitePresenceStorage.layer({ kinds }).pipe(
    Layer.provide(reader),
    Layer.provideMerge(WalKeeper.layer()),
    Layer.provideMerge(Writer.layerSqlite),
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide(metered(run)),
    Layer.provide(connection)
  )
