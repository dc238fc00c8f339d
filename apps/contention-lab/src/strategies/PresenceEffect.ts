/** This project, over any connection, with its lanes in order or with one for all writes. */
import { Effect, Layer, Logger, LogLevel, type Scope } from "effect"
import * as Presence from "presence-effect/Presence"
import { PresenceStorage } from "presence-effect/presence/PresenceStorage"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import { Writer } from "presence-effect/writer/Writer"
import { kinds } from "../PresenceKey.ts"
import type { Run } from "../Run.ts"
import { numberedText } from "../Statements.ts"
import { entryOf } from "./Catalogue.ts"
import type { Strategy } from "./Strategy.ts"

class LabPresence extends Presence.Tag("contention-lab/Presence", kinds)<LabPresence>() {}

/** A storage and its writer, on any database. */
export type Database<E> = Layer.Layer<PresenceStorage | Writer, E>

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

const layerOf = <E>(run: Run, database: Database<E>, lane: Lane.Lane) => {
  const presence = Presence.layer(LabPresence, {
    interval: run.scenario.flushIntervalMillis,
    // Every sign of life is written, as by the others. The default would skip most of them.
    persistThreshold: 0
  })
  return presence.pipe(Layer.provide(observed(run, lane)), Layer.provideMerge(database))
}

export const make = <E>(run: Run, database: Database<E>): Effect.Effect<Strategy, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const isOneLane = entryOf(run.scenario.strategy).lanes === "one"
    const textOf = run.scenario.database === "postgres" ? numberedText : (sql: string) => sql
    const context = yield* Layer.build(layerOf(run, database, isOneLane ? Lane.data : Lane.presence))
    return yield* Effect.provide(
      Effect.map(Effect.all({ presence: LabPresence, writer: Writer }), ({ presence, writer }): Strategy => ({
        beat: presence.beat,
        write: (lane, statements) =>
          writer.write(
            isOneLane ? Lane.data : lane,
            Write.all(statements.map(({ params, sql }) => Write.statement(textOf(sql), params)))
          )
      })),
      context
    )
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
