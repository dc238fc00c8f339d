/**
 * The read side of presence on PostgreSQL: read-only connections of their own,
 * so that no read waits for a write, nor a write for a read.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as PostgresReader from "presence-effect/postgres/PostgresReader"
 *
 * const reader = PostgresReader.layer({ url: "postgres://app@db.internal/devices", connections: 2 })
 * console.log(Layer.isLayer(reader)) // true
 *
 * @since 0.4.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ServerReader from "../node/internal/serverReader.ts"
import { PresenceReader } from "../sqlite/SqlitePresenceStorage.ts"
import type { EngineFault } from "../writer/Engine.ts"
import type { SqlValue } from "../writer/Write.ts"
import * as PostgresDriver from "./internal/postgresDriver.ts"
import type { PostgresOptions } from "./PostgresOptions.ts"

/**
 * @category models
 * @since 0.4.0
 */
export interface ReaderOptions extends PostgresOptions {
  /** How long a read may take. Default: 5 seconds. */
  readonly timeout?: Duration.DurationInput
}

/**
 * A `PresenceReader` that says more: which values are bound, and how a query fails.
 *
 * @category models
 * @since 0.4.0
 */
export interface Reader {
  /** One statement with the placeholders of PostgreSQL, `$1`, and all of its rows. */
  readonly query: (sql: string, params: ReadonlyArray<SqlValue>) => Effect.Effect<ReadonlyArray<unknown>, EngineFault>
}

/**
 * Opens one connection; the others, up to `connections`, are opened when they are needed.
 *
 * **Errors**: `EngineFault` when the server cannot be reached or refuses the user or the database; so do its queries.
 *
 * @category constructors
 * @since 0.4.0
 */
export const make = (options: ReaderOptions): Effect.Effect<Reader, EngineFault, Scope.Scope> =>
  Effect.suspend(() => {
    const { connections = 4, timeout = "5 seconds" } = options
    const setup = [
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
      `SET statement_timeout = ${Math.max(1, Math.floor(Duration.toMillis(timeout)))}`,
      ...(options.setup ?? [])
    ]
    return ServerReader.make(PostgresDriver.make({ ...options, setup }), { connections, timeout })
  })

/**
 * @category layers
 * @since 0.4.0
 */
export const layer = (options: ReaderOptions): Layer.Layer<PresenceReader, EngineFault> =>
  Layer.scoped(PresenceReader, make(options))
