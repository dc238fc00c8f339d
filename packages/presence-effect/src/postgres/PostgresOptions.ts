/**
 * Where a PostgreSQL is, and how many connections are used.
 *
 * @example
 * import type { PostgresOptions } from "presence-effect/postgres/PostgresOptions"
 *
 * const url = "postgres://app@db.internal/devices"
 * const options: PostgresOptions = { url, connections: 8, connectTimeout: "1 second" }
 * console.log(options.connections) // 8
 *
 * @since 0.4.0
 */
import type * as Duration from "effect/Duration"
import type { ConnectionOptions } from "node:tls"

/**
 * @category models
 * @since 0.4.0
 */
export interface PostgresOptions {
  /**
   * `postgres://user:password@host:5432/database`, with the parameters that `pg` knows: `sslmode=verify-full`,
   * `options=-csearch_path%3Dmine`.
   */
  readonly url: string
  /** TLS beyond what the address can say. */
  readonly tls?: ConnectionOptions
  /** How many connections are open at most. Default: 4. A writer needs 2: one is kept for its first lane. */
  readonly connections?: number
  /** How long a new connection may take. Default: 2 seconds. */
  readonly connectTimeout?: Duration.DurationInput
  /** How the connections are called in `pg_stat_activity`. Default: `presence-effect`. */
  readonly applicationName?: string
  /**
   * Statements that prepare each new connection, one per entry: settings of its session, which triggers can read with
   * `current_setting`. One that fails closes the connection and fails its opening. Default: none.
   *
   * @since 0.4.0
   */
  readonly setup?: ReadonlyArray<string>
}
