/** Metrics of the logger. */
import { Metric } from "effect"

/**
 * `log_lines_suppressed_total`: lines that were counted instead of written,
 * because they repeated others or exceeded the limit per minute.
 */
export const logLinesSuppressed: Metric.Metric.Counter<number> = Metric.counter("log_lines_suppressed_total", {
  description: "Log lines that were counted instead of written",
  incremental: true
})
