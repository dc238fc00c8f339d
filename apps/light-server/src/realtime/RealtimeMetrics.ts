/**
 * What the socket server counts. Labels come from closed sets: a client cannot
 * make new ones.
 *
 * @since 0.1.0
 */
import { Metric } from "effect"
import type { RealtimeOptions } from "./RealtimeOptions.ts"

/**
 * What became of an event.
 *
 * - `accepted`: handed to its handler.
 * - `invalid`: the payload does not fit.
 * - `ignored`: about a row of another account, about none, or too old to count.
 * - `limited`: over the budget of the socket.
 * - `crowded`: over the budget of its account.
 * - `failed`: the handler failed or died.
 * - `unknown`: nobody listens to the event.
 *
 * @category models
 * @since 0.1.0
 */
export type EventOutcome = "accepted" | "invalid" | "ignored" | "limited" | "crowded" | "failed" | "unknown"

const events = Metric.counter("websocket_events_total", {
  description: "Events from sockets, by event and by what became of them",
  incremental: true
})

const sockets = Metric.gauge("websocket_connections", { description: "Connected sockets, by client type" })

const handshakes = Metric.gauge("websocket_handshakes", { description: "Handshakes that are being verified" })

const lagging = Metric.gauge("websocket_lagging", {
  description: "Sockets that read too slowly and miss repeated signs of life"
})

const limits = Metric.gauge("websocket_limit", { description: "How many there may be at once" })

const refusals = Metric.counter("websocket_refusals_total", {
  description: "Connections that were refused or closed, by reason",
  incremental: true
})

const remembered = <A>(make: (name: string) => A): ((name: string) => A) => {
  const known = new Map<string, A>()
  return (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = make(name)
    known.set(name, made)
    return made
  }
}

const eventCounter = remembered((label) => {
  const [event = "", outcome = ""] = label.split(" ")
  return events.pipe(Metric.tagged("event_type", event), Metric.tagged("outcome", outcome))
})

const socketGauge = remembered((type) => Metric.tagged(sockets, "type", type))

const refusalCounter = remembered((reason) => Metric.tagged(refusals, "reason", reason))

/**
 * Counts an event. `event` is the name of a registered event, or `other`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const countEvent = (event: string, outcome: EventOutcome): void =>
  eventCounter(`${event} ${outcome}`).unsafeUpdate(1, [])

/**
 * Sets how many sockets of a client type are connected.
 *
 * @category metrics
 * @since 0.1.0
 */
export const setSockets = (clientType: string, count: number): void => socketGauge(clientType).unsafeUpdate(count, [])

/**
 * Sets how many handshakes are being verified.
 *
 * @category metrics
 * @since 0.1.0
 */
export const setHandshakes = (count: number): void => handshakes.unsafeUpdate(count, [])

/**
 * Sets how many sockets read too slowly.
 *
 * @category metrics
 * @since 0.1.0
 */
export const setLagging = (count: number): void => lagging.unsafeUpdate(count, [])

/**
 * Sets the limits that the depths are read against.
 *
 * @category metrics
 * @since 0.1.0
 */
export const setLimits = (
  options: Pick<RealtimeOptions, "socketLimit" | "accountSocketLimit" | "handshakeLimit">
): void => {
  const known = {
    sockets: options.socketLimit,
    account_sockets: options.accountSocketLimit,
    handshakes: options.handshakeLimit
  }
  for (const [limit, count] of Object.entries(known)) {
    Metric.tagged(limits, "limit", limit).unsafeUpdate(count, [])
  }
}

/**
 * Why a connection was not accepted, or ended by this side.
 *
 * - `refused`: for good; the client is told why.
 * - `overload`: too many sockets or handshakes; the client comes back.
 * - `account-overload`: too many sockets of its account; the client comes back.
 * - `draining`: the server stops.
 * - `unverified`: nobody can say now whether it may connect.
 * - `slow-reader`: too much waits for it.
 * - `flooding`: it went on sending far beyond its budget.
 *
 * @category models
 * @since 0.1.0
 */
export type RefusalReason =
  | "refused"
  | "overload"
  | "account-overload"
  | "draining"
  | "unverified"
  | "slow-reader"
  | "flooding"

/**
 * Counts a connection that was not accepted, or ended by this side.
 *
 * @category metrics
 * @since 0.1.0
 */
export const countRefusal = (reason: RefusalReason): void => refusalCounter(reason).unsafeUpdate(1, [])
