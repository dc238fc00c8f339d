/**
 * The engine of PostgreSQL: several connections, each with one group of writes
 * in one transaction.
 *
 * `pg` must be installed. Statements use the placeholders of PostgreSQL: `$1`.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as PostgresEngine from "presence-effect/postgres/PostgresEngine"
 * import * as Writer from "presence-effect/writer/Writer"
 *
 * // Connects when it is built. One of the connections is kept for the lane that is served first.
 * const engine = PostgresEngine.layer({ url: "postgres://app@db.internal/devices", connections: 4 })
 * console.log(Layer.isLayer(Layer.provide(Writer.layer(), engine))) // true
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ServerEngine from "../node/internal/serverEngine.ts"
import type { EngineFault, EngineService } from "../writer/Engine.ts"
import { Engine } from "../writer/Engine.ts"
import * as PostgresDriver from "./internal/postgresDriver.ts"
import type { PostgresOptions } from "./PostgresOptions.ts"

/**
 * Opens the engine, and with it one connection; the others are opened when they are needed.
 *
 * **Details**
 *
 * - A group of writes is one transaction in read committed, with a savepoint per write. Its begin and all statements go
 *   out together, and the commit follows: two round trips.
 * - A statement waits for a lock for at most four fifths of the limit of its lane, and runs for at most nine tenths.
 *   Both, like a deadlock and a failed serialization, are `DatabaseBusy`: nothing is written, and the writer tries
 *   again on the terms of the lane.
 * - Writes of a lane whose durability is `process-crash` do not wait for the disk (`synchronous_commit = off`).
 * - A connection that breaks before the commit was sent has written nothing: `ConnectionLost`. After that it is not
 *   known: `WriteUnconfirmed`.
 * - A server that does not answer within twice the limit is cut off.
 * - Booleans are returned as 1 and 0, integers as numbers, or as bigint beyond 2^53. Types without a counterpart in
 *   `SqlValue` are returned as their texts.
 * - `untilStopped` fails only after `stop`: a server that is away may come back.
 *
 * **Errors**: `EngineFault` when the server cannot be reached (`Lost`) or refuses the user or the database (`Gone`).
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (options: PostgresOptions): Effect.Effect<EngineService, EngineFault, Scope.Scope> =>
  Effect.suspend(() => ServerEngine.make(PostgresDriver.make(options), Math.max(2, options.connections ?? 4)))

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (options: PostgresOptions): Layer.Layer<Engine, EngineFault> => Layer.scoped(Engine, make(options))
