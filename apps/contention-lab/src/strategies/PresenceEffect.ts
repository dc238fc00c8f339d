/** This project, over any connection, with its lanes in order or with one for all writes. */
import { Clock, Effect, Layer, Logger, LogLevel, type Scope } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as Presence from "presence-effect/Presence"
import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
import * as SqlitePresenceStorage from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
import * as Write from "presence-effect/writer/Write"
import { kinds } from "../PresenceKey.ts"
import type { Run } from "../Run.ts"
import { slowSyncMillis } from "../Scenario.ts"
import { entryOf } from "./Catalogue.ts"
import type { Strategy } from "./Strategy.ts"

class LabPresence extends Presence.Tag("contention-lab/Presence", kinds)<LabPresence>() {}

export interface House<E> {
  readonly run: Run
  readonly connection: Layer.Layer<SqliteConnection, E>
  readonly reader: Layer.Layer<SqlitePresenceStorage.PresenceReader, E>
}

/**
 * The same connection, seen by the meter and as far away as the scenario says: a write crosses as a whole, so it pays
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

/** The same storage, with every flush reported to the meter, in the lane that is given. */
const observed = (run: Run, lane: Lane.Lane) =>
  Layer.effect(
    PresenceStorage,
    Effect.map(PresenceStorage, (storage) =>
      PresenceStorage.of({
        ...storage,
        flush: (batch) =>
          Effect.suspend(() => {
            const end = run.meter.flushStarted(batch.entries.length, run.elapsedMillis())
            const ended = (writtenCount: number) => Effect.sync(() => end(writtenCount, run.elapsedMillis()))
            return storage.flush(batch, lane).pipe(
              Effect.tap(({ written }) => ended(written.length)),
              Effect.tapError(({ report }) => ended(report.written.length))
            )
          })
      })
    )
  )

const layerOf = <E>({ connection, reader, run }: House<E>, lane: Lane.Lane) => {
  const presence = Presence.layer(LabPresence, {
    interval: run.scenario.flushIntervalMillis,
    // Every sign of life is written, as by the others. The default would skip most of them.
    persistThreshold: 0
  })
  return presence.pipe(
    Layer.provide(observed(run, lane)),
    Layer.provide(SqlitePresenceStorage.layer({ kinds })),
    Layer.provide(reader),
    Layer.provideMerge(WalKeeper.layer()),
    Layer.provideMerge(SqliteWriter.layer()),
    Layer.provide(metered(run)),
    Layer.provide(connection)
  )
}

export const make = <E>(house: House<E>): Effect.Effect<Strategy, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const isOneLane = entryOf(house.run.scenario.strategy).lanes === "one"
    const context = yield* Layer.build(layerOf(house, isOneLane ? Lane.data : Lane.presence))
    return yield* Effect.provide(
      Effect.map(
        Effect.all({ presence: LabPresence, writer: SqliteWriter.SqliteWriter }),
        ({ presence, writer }): Strategy => ({
          beat: presence.beat,
          write: (lane, statements) =>
            writer.write(
              isOneLane ? Lane.data : lane,
              Write.all(statements.map(({ params, sql }) => Write.statement(sql, params)))
            )
        })
      ),
      context
    )
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
