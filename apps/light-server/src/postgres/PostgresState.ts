/** The state of a PostgreSQL database. */
import { Clock, Effect, Layer, Option, Schema } from "effect"
import { Engine } from "presence-effect/writer/Engine"
import { DatabaseReader } from "../database/DatabaseReader.ts"
import { DatabaseState, type Problem } from "../database/DatabaseState.ts"

const Found = Schema.Struct({ bytes: Schema.Number, isStandby: Schema.Int })

const select = `SELECT pg_database_size(current_database()) AS "bytes", pg_is_in_recovery() AS "isStandby"`

/** The size of a database is counted file by file. */
const lookMillis = 10_000

const standby: Problem = {
  code: "DatabaseReadonly",
  detail: "the server of the database is a standby, which takes no writes"
}

export const layer = (place: string): Layer.Layer<DatabaseState, never, DatabaseReader | Engine> =>
  Layer.effect(
    DatabaseState,
    Effect.gen(function* () {
      const engine = yield* Engine
      const reader = yield* DatabaseReader
      let found = Option.none<typeof Found.Type>()
      let lookedAtMillis: number | undefined
      const look = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        if (lookedAtMillis !== undefined && now - lookedAtMillis < lookMillis) return found
        lookedAtMillis = now
        const [row] = yield* reader.rowsAside("report", Found, select, [])
        found = Option.fromNullable(row)
        return found
      }).pipe(Effect.catchAll(() => Effect.sync(() => found)))
      return DatabaseState.of({
        place,
        untilStopped: engine.untilStopped,
        stop: engine.stop,
        findMoved: Effect.succeed(undefined),
        sizes: Effect.map(look, (found) => ({
          databaseBytes: Option.getOrUndefined(found)?.bytes,
          logBytes: undefined
        })),
        reusableBytes: Effect.succeed(undefined),
        diskFreeBytes: Effect.succeed(undefined),
        problem: Effect.map(look, (found) =>
          Option.isSome(found) && found.value.isStandby === 1 ? standby : undefined
        )
      })
    })
  )
