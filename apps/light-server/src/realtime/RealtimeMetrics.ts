/**
 * What the socket server counts. Labels come from closed sets: a client cannot
 * make new ones.
 *
 * @since 0.1.0
 */
import { Metric } from "effect"

/**
 * What became of an event.
 *
 * - `accepted`: handed to its handler.
 * - `invalid`: the payload does not fit.
 * - `ignored`: about a row of another account, about none, or too old to count.
 * - `limited`: over the budget of the socket.
 * - `failed`: the handler failed or died.
 * - `unknown`: nobody listens to the event.
 *
 * @category models
 * @since 0.1.0
 */
export type EventOutcome = "accepted" | "invalid" | "ignored" | "limited" | "failed" | "unknown"

const events = Metric.counter("websocket_events_total", {
  description: "Events from sockets, by event and by what became of them",
  incremental: true
})

const sockets = Metric.gauge("websocket_connections", { description: "Connected sockets, by client type" })

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
 * Counts a connection that was refused for good (`refused`), sent away to come
 * back (`overload`, `draining`, `unverified`), or closed for reading too slowly
 * (`slow-reader`).
 *
 * @category metrics
 * @since 0.1.0
 */
export const countRefusal = (reason: "refused" | "overload" | "draining" | "unverified" | "slow-reader"): void =>
  refusalCounter(reason).unsafeUpdate(1, [])
