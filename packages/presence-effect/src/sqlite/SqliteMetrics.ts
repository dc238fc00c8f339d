/**
 * The metrics of the SQLite file and its log, declared once.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as Metric from "effect/Metric"
 * import { strictEqual } from "node:assert/strict"
 * import * as SqliteMetrics from "presence-effect/sqlite/SqliteMetrics"
 * import * as WalKeeper from "presence-effect/sqlite/WalKeeper"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 *
 * const program = Effect.gen(function* () {
 *   const { connection, layer } = yield* SimulatedConnection.make()
 *   const services = WalKeeper.layer().pipe(Layer.provide(SqliteWriter.layer()), Layer.provide(layer))
 *   yield* Effect.provide(
 *     Effect.flatMap(WalKeeper.WalKeeper, ({ look }) => look),
 *     services
 *   )
 *   const { value } = yield* Metric.value(SqliteMetrics.databaseBytes)
 *   strictEqual(value, (yield* connection.identity).databaseBytes)
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import type * as Metric from "effect/Metric"
import { counter, gauge } from "../internal/instrument.ts"

/**
 * `sqlite_wal_bytes`: size of the write-ahead log.
 *
 * @category metrics
 * @since 0.1.0
 */
export const walBytes: Metric.Metric.Gauge<number> = gauge("sqlite_wal_bytes", "Size of the write-ahead log")

/**
 * `sqlite_db_bytes`: size of the database file.
 *
 * @category metrics
 * @since 0.1.0
 */
export const databaseBytes: Metric.Metric.Gauge<number> = gauge("sqlite_db_bytes", "Size of the database file")

/**
 * `sqlite_checkpoint_busy_total`: checkpoints that another connection prevented from completing.
 *
 * @category metrics
 * @since 0.1.0
 */
export const checkpointBusy: Metric.Metric.Counter<number> = counter(
  "sqlite_checkpoint_busy_total",
  "Checkpoints that another connection prevented from completing"
)

/**
 * `sqlite_free_bytes`: bytes of the database file that hold nothing.
 *
 * @category metrics
 * @since 0.3.0
 */
export const freeBytes: Metric.Metric.Gauge<number> = gauge(
  "sqlite_free_bytes",
  "Bytes of the database file that hold nothing"
)

/**
 * `sqlite_compacted_bytes_total`: bytes of the database file returned to the file system.
 *
 * @category metrics
 * @since 0.3.0
 */
export const compactedBytes: Metric.Metric.Counter<number> = counter(
  "sqlite_compacted_bytes_total",
  "Bytes of the database file returned to the file system"
)
