/**
 * What the relay of calls counts. No label holds a method: clients name them.
 *
 * @since 0.1.0
 */
import { Metric, MetricBoundaries } from "effect"
import type { RpcRefusal } from "./RpcAnswer.ts"
import type { RpcOptions } from "./RpcOptions.ts"

const calls = Metric.counter("rpc_calls_total", {
  description: "Calls between sockets, by how they ended",
  incremental: true
})

const registrations = Metric.counter("rpc_registrations_total", {
  description: "Attempts to register a method, by outcome",
  incremental: true
})

const inFlight = Metric.gauge("rpc_calls_in_flight", { description: "Calls that are not answered yet" })

const methods = Metric.gauge("rpc_methods", { description: "Registered methods" })

const limits = Metric.gauge("rpc_limit", { description: "How many one socket may have at once" })

const seconds = Metric.histogram(
  "rpc_call_seconds",
  MetricBoundaries.fromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]),
  "Time from the request to the registrant until the call ended"
)

/**
 * Counts a call. Seconds only for one that reached its registrant.
 *
 * @category metrics
 * @since 0.1.0
 */
export const countCall = (outcome: "answered" | RpcRefusal, callSeconds?: number): void => {
  Metric.tagged(calls, "outcome", outcome).unsafeUpdate(1, [])
  if (callSeconds !== undefined) seconds.unsafeUpdate(callSeconds, [])
}

/**
 * @category metrics
 * @since 0.1.0
 */
export const countRegistration = (outcome: "registered" | "replaced" | "invalid" | "limited"): void =>
  Metric.tagged(registrations, "outcome", outcome).unsafeUpdate(1, [])

/**
 * @category metrics
 * @since 0.1.0
 */
export const setInFlight = (count: number): void => inFlight.unsafeUpdate(count, [])

/**
 * @category metrics
 * @since 0.1.0
 */
export const setMethods = (count: number): void => methods.unsafeUpdate(count, [])

/**
 * Sets the limits that the depths are read against.
 *
 * @category metrics
 * @since 0.1.0
 */
export const setLimits = (options: Pick<RpcOptions, "methodLimit" | "callLimit" | "requestLimit">): void => {
  const known = { methods: options.methodLimit, calls: options.callLimit, requests: options.requestLimit }
  for (const [limit, count] of Object.entries(known)) Metric.tagged(limits, "limit", limit).unsafeUpdate(count, [])
}
