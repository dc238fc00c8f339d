/** What the process itself measures. */
import { Metric } from "effect"

/**
 * `event_loop_delay_seconds{quantile}`: how late timers ran within the last
 * minute.
 */
export const eventLoopDelaySeconds = (quantile: string): Metric.Metric.Gauge<number> =>
  Metric.gauge("event_loop_delay_seconds", { description: "How late timers ran within the last minute" }).pipe(
    Metric.tagged("quantile", quantile)
  )

/** `disk_free_bytes`: room left where the database is. */
export const diskFreeBytes: Metric.Metric.Gauge<number> = Metric.gauge("disk_free_bytes", {
  description: "Room left on the disk of the database"
})

/** `server_ready`: 1 while the readiness check passes. */
export const ready: Metric.Metric.Gauge<number> = Metric.gauge("server_ready", {
  description: "1 while the readiness check passes, else 0"
})

/**
 * `writer_holding_seconds`: how long the engine has owed its present answer; 0
 * when it owes none. A thread that hangs lets it grow.
 */
export const writerHoldingSeconds: Metric.Metric.Gauge<number> = Metric.gauge("writer_holding_seconds", {
  description: "How long the engine has owed its present answer"
})

/** `build_info{version,node,sqlite}`: always 1. */
export const buildInfo = (version: string, node: string, sqlite: string): Metric.Metric.Gauge<number> =>
  Metric.gauge("build_info", { description: "Always 1; the labels say what runs" }).pipe(
    Metric.tagged("version", version),
    Metric.tagged("node", node),
    Metric.tagged("sqlite", sqlite)
  )
