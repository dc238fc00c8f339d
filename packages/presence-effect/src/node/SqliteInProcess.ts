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
import { EngineFault, SqliteConnection } from "../SqliteConnection.ts"
import * as FileIdentity from "./FileIdentity.ts"
import * as Engine from "./sqliteEngine.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"
import { engineOptions, retryBusyOpen } from "./SqliteOptions.ts"

const openEngine = (options: SqliteOptions): Effect.Effect<Engine.Engine, EngineFault, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => Engine.open(engineOptions(options)),
      catch: (fault) => new EngineFault(fault as Engine.Fault)
    }),
    (engine) => Effect.sync(engine.close)
  ).pipe(retryBusyOpen(options))

const orFault = <A extends object>(reply: A | Engine.Fault): Effect.Effect<A, EngineFault> =>
  Engine.isFault(reply) ? Effect.fail(new EngineFault(reply)) : Effect.succeed(reply)

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
    return SqliteConnection.of({
      run: (group, durability) =>
        Effect.map(
          Effect.suspend(() => orFault(engine.run(group, durability))),
          (answers) =>
            answers.map((answer) =>
              answer._tag === "Done" ? answer : { _tag: "Failed", fault: new EngineFault(answer.fault) }
            )
        ),
      checkpoint: (mode) => Effect.suspend(() => orFault(engine.checkpoint(mode))),
      logState: Effect.suspend(() => orFault(copier.checkpoint("noop"))),
      copyLog: Effect.suspend(() => orFault(copier.checkpoint("passive"))),
      identity: FileIdentity.read(options.filename)
    })
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SqliteOptions): Layer.Layer<SqliteConnection, EngineFault> =>
  Layer.scoped(SqliteConnection, make(options))
