/**
 * The metrics of the SQLite file and its log, declared once.
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
