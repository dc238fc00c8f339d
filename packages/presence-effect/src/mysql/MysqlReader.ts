/**
 * The read side of presence on MySQL or MariaDB: read-only connections of their
 * own, so that no read waits for a write, nor a write for a read.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as MysqlReader from "presence-effect/mysql/MysqlReader"
 *
 * const reader = MysqlReader.layer({ url: "mysql://app@db.internal/devices", connections: 2 })
 * console.log(Layer.isLayer(reader)) // true
 *
 * @since 0.4.0
 */
import * as Effect from "effect/Effect"
import type * as Duration from "effect/Duration"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ServerReader from "../node/internal/serverReader.ts"
import { PresenceReader } from "../sqlite/SqlitePresenceStorage.ts"
import type { EngineFault } from "../writer/Engine.ts"
import * as MysqlDriver from "./internal/mysqlDriver.ts"
import type { MysqlOptions } from "./MysqlOptions.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface ReaderOptions extends MysqlOptions {
  /** How long a read may take. Twice as long, and its connection is cut off. Default: 5 seconds. */
  readonly timeout?: Duration.DurationInput
}

/**
 * Opens one connection; the others, up to `connections`, are opened when they are needed.
 *
 * **Errors**: `EngineFault` when the server cannot be reached or refuses the user or the database; so do its queries.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (options: ReaderOptions): Effect.Effect<PresenceReader["Type"], EngineFault, Scope.Scope> =>
  Effect.suspend(() => {
    const { connections = 4, timeout = "5 seconds" } = options
    const driver = MysqlDriver.make(options, ["SET SESSION TRANSACTION READ ONLY"])
    return ServerReader.make(driver, { connections, timeout })
  })

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (options: ReaderOptions): Layer.Layer<PresenceReader, EngineFault> =>
  Layer.scoped(PresenceReader, make(options))
