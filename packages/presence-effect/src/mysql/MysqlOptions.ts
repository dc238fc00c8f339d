/**
 * Where a MySQL or a MariaDB is, and how many connections are used.
 *
 * @example
 * import type { MysqlOptions } from "presence-effect/mysql/MysqlOptions"
 *
 * const options: MysqlOptions = { url: "mysql://app@db.internal/devices", connections: 8, connectTimeout: "1 second" }
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
export interface MysqlOptions {
  /** `mysql://user:password@host:3306/database`. */
  readonly url: string
  /** TLS. Default: none. */
  readonly tls?: ConnectionOptions
  /** How many connections are open at most. Default: 4. A writer needs 2: one is kept for its first lane. */
  readonly connections?: number
  /** How long a new connection may take. Default: 2 seconds. */
  readonly connectTimeout?: Duration.DurationInput
}
