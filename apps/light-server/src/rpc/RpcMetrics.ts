/** Metrics of the relay of calls. Methods are never labels: clients choose their names. */
import { Effect, Metric, MetricBoundaries } from "effect"
import * as Tally from "../Tally.ts"
import { refusals, type RpcRefusal } from "./RpcAnswer.ts"
import type { RpcOptions } from "./RpcOptions.ts"

const calls = Tally.counter("rpc_calls_total", "Calls between sockets, by how they ended", ["outcome"])

const registrations = Tally.counter("rpc_registrations_total", "Attempts to register a method, by outcome", ["outcome"])

const awaited = Tally.counter("rpc_calls_awaited_total", "Calls that waited for a machine or session to reconnect")

const inFlight = Tally.gauge("rpc_calls_in_flight", "Calls that are not answered yet")

const methods = Tally.gauge("rpc_methods", "Registered methods")

const limits = Tally.gauge("rpc_limit", "How many one socket may have at once", ["limit"])

const seconds = Metric.histogram(
  "rpc_call_seconds",
  MetricBoundaries.fromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]),
  "Time from the request to the registrant until the call ended"
)

/** Counts a call. Seconds only for a call that reached its registrant. */
export const countCall = (outcome: "answered" | RpcRefusal, callSeconds?: number): void => {
  calls({ outcome })
  if (callSeconds !== undefined) seconds.unsafeUpdate(callSeconds, [])
}

/** Counts a call that waits because its machine or session reconnects. */
export const countAwaited = (): void => awaited({})

export const countRegistration = (outcome: "registered" | "replaced" | "invalid" | "foreign" | "limited"): void =>
  registrations({ outcome })

export const setInFlight = (count: number): void => inFlight({}, count)

export const setMethods = (count: number): void => methods({}, count)

/** Sets the limits that the depths are read against. */
export const setLimits = (options: Pick<RpcOptions, "methodLimit" | "callLimit" | "requestLimit">): void => {
  const known = { methods: options.methodLimit, calls: options.callLimit, requests: options.requestLimit }
  for (const [limit, count] of Object.entries(known)) limits({ limit }, count)
}

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const outcome of ["answered", ...Object.keys(refusals)]) calls({ outcome }, 0)
  for (const outcome of ["registered", "replaced", "invalid", "limited"]) registrations({ outcome }, 0)
  awaited({}, 0)
  Effect.runSync(Metric.value(seconds))
  setInFlight(0)
  setMethods(0)
}
