/**
 * The name of a database in the metrics of a process that has several.
 *
 * @since 0.3.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import type * as Metric from "effect/Metric"
import { tagged } from "../internal/instrument.ts"

/**
 * A name for the label `database` of every metric that is updated for one database. Without it the metrics have no
 * such label. Read when a service is built, so it must be provided to the layers of the writer, of presence and of the
 * keepers.
 *
 * @category references
 * @since 0.3.0
 */
export class DatabaseName extends Context.Reference<DatabaseName>()("presence-effect/writer/DatabaseName", {
  defaultValue: (): string | undefined => undefined
}) {}

/**
 * Names the database of the layers it is provided to. Use few names, and none that grow in number with time: each
 * adds series of its own.
 *
 * @example
 * import * as Layer from "effect/Layer"
 * import * as DatabaseName from "presence-effect/writer/DatabaseName"
 * import * as SqliteThread from "presence-effect/node/SqliteThread"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 *
 * const writerOf = (name: string) =>
 *   SqliteWriter.layer().pipe(
 *     Layer.provide(SqliteThread.layer({ filename: `${name}.sqlite` })),
 *     Layer.provide(DatabaseName.layer(name))
 *   )
 *
 * console.log(Layer.isLayer(writerOf("tenant-a")))
 *
 * @category layers
 * @since 0.3.0
 */
export const layer = (name: string): Layer.Layer<never> => Layer.succeed(DatabaseName, name)

/**
 * Adds the label `database` to a metric, unless the database has no name.
 *
 * @category combinators
 * @since 0.3.0
 */
export const labelled =
  (name: string | undefined) =>
  <Type, In, Out>(metric: Metric.Metric<Type, In, Out>): Metric.Metric<Type, In, Out> =>
    name === undefined ? metric : tagged(metric, "database", name)
