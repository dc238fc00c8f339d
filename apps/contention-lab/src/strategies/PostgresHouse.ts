/** The storage and the writer of this project on PostgreSQL. */
import { Effect, Layer } from "effect"
import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
import * as PostgresPresenceStorage from "presence-effect/postgres/PostgresPresenceStorage"
import * as PostgresReader from "presence-effect/postgres/PostgresReader"
import { Engine } from "presence-effect/writer/Engine"
import * as Writer from "presence-effect/writer/Writer"
import * as PostgresSchema from "../postgres/PostgresSchema.ts"
import { kinds } from "../PresenceKey.ts"
import type { Run } from "../Run.ts"

/** The same engine, seen by the meter. */
const metered = (run: Run) =>
  Layer.effect(
    Engine,
    Effect.map(Engine, (engine) =>
      Engine.of({
        ...engine,
        run: (group, durability, limitMillis) =>
          Effect.suspend(() => {
            const startedAt = run.elapsedMillis()
            return Effect.ensuring(
              engine.run(group, durability, limitMillis),
              Effect.sync(() => run.meter.held((run.elapsedMillis() - startedAt) / engine.permits))
            )
          })
      })
    )
  )

export const layer = (run: Run, url: string) => {
  const applicationName = PostgresSchema.nameOf(url)
  return PostgresPresenceStorage.layer({ kinds }).pipe(
    Layer.provide(PostgresReader.layer({ url, connections: 1, applicationName })),
    Layer.provideMerge(Writer.layer()),
    Layer.provide(metered(run)),
    Layer.provide(PostgresEngine.layer({ url, connections: run.scenario.connections, applicationName }))
  )
}
