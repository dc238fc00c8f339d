/** Metrics of the HTTP side. */
import { Metric, MetricBoundaries } from "effect"
import * as Tally from "../Tally.ts"

/**
 * Status under which a request is counted whose client disconnected before its
 * answer was complete. It is never sent.
 */
export const hungUp = 499

const description = "Time from request to answer, by method, route and status"
const boundaries = MetricBoundaries.fromIterable([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10])

/**
 * Time from the first byte of a request to the last of its answer, by method,
 * route pattern and status.
 */
export const requestSeconds = Metric.histogram("http_request_seconds", boundaries, description)

const observe = Tally.histogram("http_request_seconds", boundaries, description, ["method", "route", "status"])

/** A request that is over. `route` is a pattern, or `none`. */
export interface Answered {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly seconds: number
}

/** Counts a request that is over. */
export const countRequest = ({ method, route, seconds, status }: Answered): void =>
  observe({ method, route, status: String(status) }, seconds)
