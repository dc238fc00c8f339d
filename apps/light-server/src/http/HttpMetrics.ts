/**
 * What the HTTP side measures.
 *
 * @since 0.1.0
 */
import { Metric, MetricBoundaries } from "effect"

/**
 * Time from the first byte of a request to the last of its answer, by method,
 * route pattern and status.
 *
 * @category metrics
 * @since 0.1.0
 */
export const requestSeconds = Metric.histogram(
  "http_request_seconds",
  MetricBoundaries.fromIterable([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10]),
  "Time from request to answer, by method, route and status"
)
