/**
 * The service through which all writes go, whatever the database is.
 *
 * Over a database server several groups of writes run side by side, each on a
 * connection of its own: the lanes are bulkheads. A lane keeps its terms, lanes
 * are served in their order, and one connection is kept for the first lane, so
 * that slow writes of the others never hold all.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import * as SimulatedDatabase from "presence-effect/testing/SimulatedDatabase"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 * import * as Writer from "presence-effect/writer/Writer"
 *
 * const program = Effect.gen(function* () {
 *   const database = yield* SimulatedDatabase.make({ schema: "CREATE TABLE Job (id TEXT)" })
 *   const writer = Writer.layerSqlite.pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(database.layer))
 *   const insert = Write.statement("INSERT INTO Job VALUES (?)", ["first"], { changes: 1 })
 *   yield* Effect.provide(Effect.flatMap(Writer.Writer, ({ write }) => write(Lane.control, insert)), writer)
 *   strictEqual(database.query("SELECT id FROM Job").length, 1)
 * })
 * await Effect.runPromise(Effect.scoped(program))
 *
 * @since 0.4.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { DatabaseName } from "./DatabaseName.ts"
import { Engine } from "./Engine.ts"
import * as Attempts from "./internal/attempts.ts"
import * as Deadlines from "./internal/deadlines.ts"
import * as LaneBulkhead from "./internal/laneBulkhead.ts"
import * as MeasuredWrites from "./internal/measuredWrites.ts"
import * as WriterJournal from "./internal/writerJournal.ts"
import * as WriterState from "./internal/writerState.ts"
import type * as Lane from "./Lane.ts"
import type { Measured, WriterStatus } from "./SqliteWriter.ts"
import { SqliteWriter } from "./SqliteWriter.ts"
import type { Write } from "./Write.ts"
import type { WriterError } from "./WriterError.ts"
import * as WriterPolicy from "./WriterPolicy.ts"

/**
 * @category services
 * @since 0.4.0
 */
export class Writer extends Context.Tag("presence-effect/writer/Writer")<
  Writer,
  {
    readonly policy: WriterPolicy.ResolvedPolicy
    /** Commits `write` on the terms of `lane`. */
    readonly write: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<A, WriterError>
    /** The same, with the time it took. */
    readonly writeMeasured: <A>(lane: Lane.Lane, write: Write<A>) => Effect.Effect<Measured<A>, WriterError>
    /** With several permits `holder` is the one that has held its permit the longest. */
    readonly status: Effect.Effect<WriterStatus>
  }
>() {}

/**
 * Builds the writer over an engine, with as many permits as that has. Two writers over one engine would share its
 * connections without knowing of each other: build the layer once.
 *
 * **Errors**: `PolicyInvalid` with every contradiction in `policy`.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Effect.Effect<Writer["Type"], WriterPolicy.PolicyInvalid, Engine | Scope.Scope> =>
  Effect.gen(function* () {
    const resolved = yield* WriterPolicy.resolve(policy)
    const engine = yield* Engine
    const clock = yield* Effect.clock
    const journal = WriterJournal.make(resolved, clock, yield* DatabaseName)
    const deadlines = yield* Deadlines.make(clock)
    const lanes = yield* LaneBulkhead.make({ ...resolved, permits: engine.permits, onQueue: journal.queued })
    const attempts = Attempts.make({ lanes, connection: engine, deadlines, journal })
    const told = MeasuredWrites.makeTold(journal)
    const demandOutside = () => Effect.void
    const writeMeasured = MeasuredWrites.make({ policy: resolved, attempts, deadlines, told, demandOutside })
    const state = WriterState.make({ policy: resolved, lanes, journal, deadlines, attempts })

    yield* Effect.addFinalizer(() => state.close())

    return Writer.of({
      policy: resolved,
      write: (lane, write) => Effect.map(writeMeasured(lane, write), ({ value }) => value),
      writeMeasured,
      status: state.status
    })
  })

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (
  policy: WriterPolicy.WriterPolicy = WriterPolicy.defaults
): Layer.Layer<Writer, WriterPolicy.PolicyInvalid, Engine> => Layer.scoped(Writer, make(policy))

/**
 * The writer of SQLite as a `Writer`, for code that runs on both.
 *
 * @category layers
 * @since 0.4.0
 */
export const layerSqlite: Layer.Layer<Writer, never, SqliteWriter> = Layer.effect(
  Writer,
  Effect.map(SqliteWriter, ({ policy, status, write, writeMeasured }) =>
    Writer.of({ policy, status, write, writeMeasured })
  )
)
