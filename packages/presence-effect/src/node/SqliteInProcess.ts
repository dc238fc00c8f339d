/**
 * The write connection in the calling thread.
 *
 * For tests and tiny hosts: a slow disk or a large statement stops the event
 * loop for as long as it takes. A foreign lock does not, the connection never
 * waits for one.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { EngineFault, SqliteConnection } from "../writer/SqliteConnection.ts"
import { type Fault, isFault } from "./engineFault.ts"
import * as FileIdentity from "./FileIdentity.ts"
import * as Finality from "./finality.ts"
import * as Engine from "./sqliteEngine.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"
import { engineOptions, retryBusyOpen } from "./SqliteOptions.ts"

const openEngine = (options: SqliteOptions): Effect.Effect<Engine.Engine, EngineFault, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Engine.open(engineOptions(options)),
      catch: (fault) => new EngineFault(fault as Fault)
    }),
    (engine) => Effect.sync(engine.close)
  ).pipe(retryBusyOpen(options))

const orFault = <A extends object>(reply: A | Fault): Effect.Effect<A, EngineFault> =>
  isFault(reply) ? Effect.fail(new EngineFault(reply)) : Effect.succeed(reply)

/**
 * **Errors**: `EngineFault` when the file cannot be opened or brought into WAL
 * mode. Nothing written.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: SqliteOptions): Effect.Effect<SqliteConnection["Type"], EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    const engine = yield* openEngine(options)
    const copier = yield* openEngine(options)
    const finality = yield* Finality.make
    const ask = <A extends object>(call: () => A | Fault) => finality.guard(Effect.suspend(() => orFault(call())))
    return SqliteConnection.of({
      run: (group, durability) =>
        Effect.map(
          ask(() => engine.run(group, durability)),
          finality.answersOf
        ),
      checkpoint: (mode) => ask(() => engine.checkpoint(mode)),
      logState: ask(() => copier.checkpoint("noop")),
      copyLog: ask(() => copier.checkpoint("passive")),
      identity: FileIdentity.read(options.filename),
      untilStopped: finality.untilStopped,
      stop: (fault) => Effect.sync(() => finality.stop(fault))
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SqliteOptions): Layer.Layer<SqliteConnection, EngineFault> =>
  Layer.scoped(SqliteConnection, make(options))
