/**
 * The engine of MySQL and MariaDB: several connections, each with one group of
 * writes in one transaction.
 *
 * `mysql2` must be installed. For presence; the writes of a host may use it too.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as MysqlEngine from "presence-effect/mysql/MysqlEngine"
 * import * as Writer from "presence-effect/writer/Writer"
 *
 * // Connects when it is built. One of the connections is kept for the lane that is served first.
 * const engine = MysqlEngine.layer({ url: "mysql://app@db.internal/devices", connections: 4 })
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
import * as MysqlDriver from "./internal/mysqlDriver.ts"
import type { MysqlOptions } from "./MysqlOptions.ts"

/**
 * Opens the engine, and with it one connection; the others are opened when they are needed.
 *
 * **Details**
 *
 * - A group of writes is one transaction in read committed, with a savepoint per write, and a round trip per statement.
 * - A deadlock rolls the whole group back, and each of its writes is `DatabaseBusy`: nothing is written, and the writer
 *   tries again on the terms of the lane. So is a lock that is not free within four fifths of the limit of the lane, in
 *   whole seconds.
 * - Durability is a setting of the server (`innodb_flush_log_at_trx_commit`): that of a lane changes nothing.
 * - A connection that breaks before the commit was sent has written nothing: `ConnectionLost`. After that it is not
 *   known: `WriteUnconfirmed`.
 * - A server that does not answer within twice the limit is cut off.
 * - Statements that commit by themselves, such as `CREATE TABLE`, are refused.
 *
 * **Errors**: `EngineFault` when the server cannot be reached (`Lost`) or refuses the user or the database (`Gone`).
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (options: MysqlOptions): Effect.Effect<EngineService, EngineFault, Scope.Scope> =>
  Effect.suspend(() => ServerEngine.make(MysqlDriver.make(options), Math.max(2, options.connections ?? 4)))

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (options: MysqlOptions): Layer.Layer<Engine, EngineFault> => Layer.scoped(Engine, make(options))
