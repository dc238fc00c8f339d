/**
 * The write connection in the calling thread.
 *
 * For tests and tiny hosts: a slow disk or a large statement stops the event
 * loop for as long as it takes. A foreign lock does not, the connection never
 * waits for one.
 *
 * @example
 * import Database from "better-sqlite3"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * new Database(filename).exec("CREATE TABLE Machine (id TEXT PRIMARY KEY)").close()
 *
 * const services = Layer.provide(SqliteWriter.layer(), SqliteInProcess.layer({ filename }))
 * const insert = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *   writer.write(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES ('m')"))
 * )
 * strictEqual((await Effect.runPromise(Effect.provide(insert, services))).changes, 1)
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { isBusyFailure } from "../sqlite/internal/resultCode.ts"
import { EngineFault, SqliteConnection } from "../writer/SqliteConnection.ts"
import * as FileIdentity from "./FileIdentity.ts"
import { warnOfMisfit } from "./internal/driverFit.ts"
import * as Finality from "./internal/finality.ts"
import { engineOptions, retryBusyOpen } from "./internal/opening.ts"
import * as LogSync from "./internal/logSync.ts"
import * as Engine from "./internal/sqliteEngine.ts"
import type { Failed } from "./internal/sqliteThreadProtocol.ts"
import type { SqliteOptions } from "./SqliteOptions.ts"

const openEngine = (options: SqliteOptions): Effect.Effect<Engine.Engine, EngineFault, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const opened = Engine.open(engineOptions(options))
      return opened instanceof Engine.Engine ? Effect.succeed(opened) : Effect.fail(new EngineFault(opened.fault))
    }),
    (engine) => Effect.sync(() => engine.close())
  ).pipe(retryBusyOpen(options))

/**
 * **Errors**: `EngineFault` when the file cannot be opened or brought into WAL
 * mode. Nothing written.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: SqliteOptions): Effect.Effect<SqliteConnection["Type"], EngineFault, Scope.Scope> =>
  Effect.gen(function* () {
    yield* warnOfMisfit
    const engine = yield* openEngine(options)
    const checkpointer = yield* openEngine(options)
    const finality = yield* Finality.make
    const logSync = LogSync.make(options.filename)
    const ask = <A extends { readonly _tag: string }>(call: () => A | Failed) =>
      finality.guard(
        Effect.suspend(() => {
          const reply = call()
          return isFailed(reply) ? Effect.fail(new EngineFault(reply.fault)) : Effect.succeed(reply)
        })
      )
    const checkpoint = (on: Engine.Engine, mode: "noop" | "passive" | "truncate") =>
      Effect.map(
        ask(() => on.checkpoint(mode)),
        ({ result }) => result
      )
    const compact = (on: Engine.Engine, pageLimit: number) =>
      Effect.map(
        ask(() => on.compact(pageLimit)),
        ({ result }) => result
      )
    return SqliteConnection.of({
      run: (group, durability) =>
        Effect.map(
          ask(() => engine.run(group, durability)),
          ({ answers }) => {
            logSync.committed(answers, durability)
            return finality.inspect(answers)
          }
        ),
      checkpoint: (mode) => checkpoint(engine, mode),
      compact: (pageLimit) => compact(engine, pageLimit),
      space: compact(checkpointer, 0),
      logState: checkpoint(checkpointer, "noop"),
      copyLog: checkpoint(checkpointer, "passive"),
      identity: FileIdentity.read(options.filename),
      untilStopped: finality.untilStopped,
      stop: (fault) => Effect.sync(() => finality.stop(fault)),
      isBusy: (failure) => isBusyFailure(failure)
    })
  })

const isFailed = (reply: { readonly _tag: string }): reply is Failed => reply._tag === "Failed"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: SqliteOptions): Layer.Layer<SqliteConnection, EngineFault> =>
  Layer.scoped(SqliteConnection, make(options))
