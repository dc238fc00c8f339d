/**
 * Metrics of the socket server. Labels come from closed sets: clients cannot
 * create new ones.
 */
import * as Tally from "../Tally.ts"
import type { RealtimeOptions } from "./RealtimeOptions.ts"

/**
 * The outcome of an event.
 *
 * - `accepted`: handed to its handler.
 * - `invalid`: the payload does not fit.
 * - `too-large`: the payload is larger than an event may be.
 * - `ignored`: about a row of another account, a missing row, or too old to count.
 * - `limited`: over the budget of the socket.
 * - `crowded`: over the budget of its account.
 * - `failed`: the handler failed or died.
 * - `unknown`: no handler is registered for the event.
 */
export type EventOutcome =
  | "accepted"
  | "invalid"
  | "too-large"
  | "ignored"
  | "limited"
  | "crowded"
  | "failed"
  | "unknown"

const events = Tally.counter("websocket_events_total", "Events from sockets, by event and by what became of them", [
  "event_type",
  "outcome"
])

const sockets = Tally.gauge("websocket_connections", "Connected sockets, by client type", ["type"])

const handshakes = Tally.gauge("websocket_handshakes", "Handshakes that are being verified")

const handshakesWaiting = Tally.gauge("websocket_handshakes_waiting", "Handshakes that wait to be verified")

const lagging = Tally.gauge("websocket_lagging", "Sockets that read too slowly and miss repeated signs of life")

const limits = Tally.gauge("websocket_limit", "How many there may be at once", ["limit"])

const refusals = Tally.counter("websocket_refusals_total", "Connections that were refused or closed, by reason", [
  "reason"
])

const kept = Tally.counter(
  "websocket_kept_events_total",
  "Events whose write did not succeed at once, by how it ended",
  ["event_type", "outcome"]
)

const held = Tally.gauge("websocket_held_events", "Events whose write is tried again")

const intake = Tally.gauge("websocket_intake_bytes", "Bytes of events that wait for their write")

const paused = Tally.gauge("websocket_paused", "Sockets that are not read until what waits of them is written")

const outgoing = Tally.gauge("websocket_outgoing_bytes", "Bytes that wait for sockets, over all of them")

const repeated = Tally.counter("websocket_repeated_total", "Repeated signs of life that somebody watches, by outcome", [
  "outcome"
])

/** Sets how many bytes wait for sockets. */
export const setOutgoingBytes = (bytes: number): void => outgoing({}, bytes)

/**
 * Counts a sign of life of a row that is watched.
 *
 * - `sent`: once for all sockets that got it.
 * - `coalesced`: the one before was sent less than a second ago and said the same.
 * - `over-budget`: the account has used up the packets of this second.
 */
export const countRepeated = (outcome: "sent" | "coalesced" | "over-budget"): void => repeated({ outcome })

/**
 * The outcome of an event whose write did not succeed at once.
 *
 * - `stored`: a later attempt succeeded.
 * - `refused`: a later attempt failed for good, and the client received the refusal.
 * - `silent`: not stored and not answered; the client sends it again.
 * - `closed`: the transport was closed; the client connects and sends it again.
 * - `lost`: it is not sent again. Logged with `EVENT_LOST`.
 */
export type KeptOutcome = "stored" | "refused" | "silent" | "closed" | "lost"

const keptOutcomes: { readonly [outcome in KeptOutcome]: true } = {
  stored: true,
  refused: true,
  silent: true,
  closed: true,
  lost: true
}

/** Counts how an event ended that was tried more than once, or was given up. */
export const countKept = (event: string, outcome: KeptOutcome, count = 1): void =>
  kept({ event_type: event, outcome }, count)

let heldCount = 0

/** Counts the events whose write is tried again. */
export const changeHeld = (change: 1 | 0 | -1): void => held({}, (heldCount += change))

/** Sets how many bytes of events wait for their write. */
export const setIntakeBytes = (bytes: number): void => intake({}, bytes)

/** Sets how many sockets are not read now. */
export const setPaused = (count: number): void => paused({}, count)

/** Counts an event. `event` is the name of a registered event, or `other`. */
export const countEvent = (event: string, outcome: EventOutcome): void => events({ event_type: event, outcome })

/** Lets the series of an event exist before the first of its kind comes. `isKept`: its write may be tried again. */
export const startEvent = (event: string, isKept: boolean): void => {
  for (const outcome of ["accepted", "invalid", "limited", "failed"]) events({ event_type: event, outcome }, 0)
  if (isKept) for (const outcome of Object.keys(keptOutcomes)) kept({ event_type: event, outcome }, 0)
}

/** Sets how many sockets of a client type are connected. */
export const setSockets = (clientType: string, count: number): void => sockets({ type: clientType }, count)

/** Sets how many handshakes are being verified. */
export const setHandshakes = (count: number): void => handshakes({}, count)

/** Sets how many handshakes wait for their turn. */
export const setHandshakesWaiting = (count: number): void => handshakesWaiting({}, count)

/** Sets how many sockets read too slowly. */
export const setLagging = (count: number): void => lagging({}, count)

/** Sets the limits that the depths are read against. */
export const setLimits = (
  options: Pick<RealtimeOptions, "socketLimit" | "accountSocketLimit" | "handshakeLimit" | "handshakeQueueLimit">
): void => {
  const known = {
    sockets: options.socketLimit,
    account_sockets: options.accountSocketLimit,
    handshakes: options.handshakeLimit,
    handshakes_waiting: options.handshakeQueueLimit
  }
  for (const [limit, count] of Object.entries(known)) {
    limits({ limit }, count)
  }
}

/**
 * Why a connection was not accepted, or was closed by the server.
 *
 * - `refused`: for good; the client receives the reason.
 * - `overload`: too many sockets or handshakes; the client comes back.
 * - `address-overload`: its address opened too many; the client comes back.
 * - `bad-tokens`: its address showed too many bad tokens; the client comes back.
 * - `account-overload`: too many sockets of its account; the client comes back.
 * - `draining`: the server stops.
 * - `unverified`: it cannot be verified now.
 * - `slow-reader`: too much waits for it.
 * - `flooding`: it went on sending far beyond its budget.
 * - `too-large`: it sent more in one frame than is read.
 * - `unstored`: a write of it could not be done in time; the client comes back and sends it again.
 * - `unregistered`: its machine has no row yet; the client comes back.
 * - `outdated`: updates of another replica were lost; the client comes back and reads what has changed.
 */
export type RefusalReason =
  | "refused"
  | "overload"
  | "address-overload"
  | "bad-tokens"
  | "account-overload"
  | "draining"
  | "unverified"
  | "slow-reader"
  | "flooding"
  | "too-large"
  | "unstored"
  | "unregistered"
  | "disabled"
  | "outdated"

/** Counts a connection that was not accepted, or was closed by the server. */
export const countRefusal = (reason: RefusalReason): void => refusals({ reason })

const reasons: { readonly [reason in RefusalReason]: true } = {
  refused: true,
  overload: true,
  "address-overload": true,
  "bad-tokens": true,
  "account-overload": true,
  draining: true,
  unverified: true,
  "slow-reader": true,
  flooding: true,
  "too-large": true,
  unstored: true,
  unregistered: true,
  disabled: true,
  outdated: true
}

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  events({ event_type: "other", outcome: "unknown" }, 0)
  for (const reason of Object.keys(reasons)) refusals({ reason }, 0)
  for (const type of ["user-scoped", "session-scoped", "machine-scoped"]) setSockets(type, 0)
  setHandshakes(0)
  setHandshakesWaiting(0)
  setLagging(0)
  changeHeld(0)
  setIntakeBytes(0)
  setPaused(0)
  setOutgoingBytes(0)
  for (const outcome of ["sent", "coalesced", "over-budget"]) repeated({ outcome }, 0)
}
