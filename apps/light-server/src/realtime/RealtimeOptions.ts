/** Every option of the socket server. */
import type { Duration } from "effect"
import * as Knob from "../ConfigKnob.ts"
import * as HttpKnobs from "../http/HttpKnobs.ts"
import { knobs } from "./RealtimeKnobs.ts"

export interface RealtimeOptions extends Knob.Values<typeof knobs> {
  /** The path of the socket server. Part of the protocol: no variable changes it. */
  readonly path: string
  /** Web origins that may poll. None: no CORS headers. Websockets have no CORS; the token decides. */
  readonly origins: ReadonlyArray<string>
  readonly pingInterval: Duration.DurationInput
  /** Silence after a ping that ends a connection. */
  readonly pingTimeout: Duration.DurationInput
  /** From the open transport to the handshake; a transport without one is closed. */
  readonly connectTimeout: Duration.DurationInput
  /** Longest wait for a verified handshake, its turn included. Later the transport is closed; the client comes back. */
  readonly handshakeTimeout: Duration.DurationInput
  /** Handshakes verified at once; others wait for their turn. */
  readonly handshakeLimit: number
  /**
   * Handshakes that wait for their turn; one more transport is not opened. As
   * many as this and `handshakeLimit` may be open beyond `socketLimit`.
   */
  readonly handshakeQueueLimit: number
  /** Sockets of one account at once; the transport of one more is closed. */
  readonly accountSocketLimit: number
  /** Largest payload of one event, in bytes. A larger one is answered with a refusal, and the connection stays. */
  readonly payloadBytesMax: number
  /**
   * Largest frame, in bytes, at least twice `payloadBytesMax`. A larger one is
   * not read any more: the transport is closed.
   */
  readonly transportBytesMax: number
  /** Bytes of events of one socket that wait for their write before the socket is not read any more. */
  readonly intakeBytesMax: number
  /** The same over all sockets. */
  readonly intakeTotalBytesMax: number
  /**
   * How long an event whose client waits for its ack is tried again. Shorter
   * than the 7.5 s after which clients stop waiting.
   */
  readonly ackPatience: Duration.DurationInput
  /** The same for an event without an ack, and for one that clients send again under the same id. */
  readonly keepPatience: Duration.DurationInput
  /** How long such an event is still tried after its socket has left. */
  readonly leftPatience: Duration.DurationInput
  /** Events of all sockets of one account per second in the long run. */
  readonly accountEventsPerSecond: number
  /** Events of all sockets of one account at once, after silence. */
  readonly accountEventBurst: number
  /** Events of one socket whose effect has not ended. */
  readonly inFlightLimit: number
  /** Bytes that wait for one socket before it misses repeated signs of life. */
  readonly outgoingBytesLagging: number
  /** Bytes that wait for one socket before its transport is closed. */
  readonly outgoingBytesMax: number
  /** The same over all sockets; beyond it the one for which most waits is closed. */
  readonly outgoingTotalBytesMax: number
  /** How long a socket may read nothing of what waits for it. */
  readonly readerPatience: Duration.DurationInput
  /** Packets with repeated signs of life that the sockets of one account get per second. */
  readonly repeatedPacketsPerSecond: number
  /** How long the account of a row is remembered. */
  readonly validityTtl: Duration.DurationInput
  /** Rows remembered at once; the least recently used one goes first. */
  readonly validityCapacity: number
  /** Time over which the sockets are closed when the server stops, so that not all come back in one instant. */
  readonly closeSpread: Duration.DurationInput
  /** Longest wait for running handlers when the server stops. */
  readonly drainTimeout: Duration.DurationInput
}

/**
 * Defaults for one box with tens to thousands of sockets. A session sends an
 * event every two seconds when it is busy, so the limits stop loops, not
 * people.
 */
export const defaults: RealtimeOptions = {
  ...Knob.defaultsOf(knobs),
  path: "/v1/updates",
  origins: [],
  pingInterval: "15 seconds",
  pingTimeout: "45 seconds",
  connectTimeout: "10 seconds",
  handshakeTimeout: "5 seconds",
  handshakeLimit: 64,
  handshakeQueueLimit: knobs.handshakesPerSecond.fallback,
  accountSocketLimit: 200,
  payloadBytesMax: HttpKnobs.knobs.bodyLimitBytes.fallback,
  transportBytesMax: 8 * 1024 * 1024,
  intakeBytesMax: 1024 * 1024,
  intakeTotalBytesMax: 64 * 1024 * 1024,
  ackPatience: "7 seconds",
  keepPatience: "5 minutes",
  leftPatience: "1 minute",
  accountEventsPerSecond: 2000,
  accountEventBurst: 20_000,
  inFlightLimit: 128,
  outgoingBytesLagging: 256 * 1024,
  outgoingBytesMax: 8 * 1024 * 1024,
  outgoingTotalBytesMax: 64 * 1024 * 1024,
  readerPatience: "10 seconds",
  repeatedPacketsPerSecond: 10_000,
  validityTtl: "30 seconds",
  validityCapacity: 20_000,
  closeSpread: "1 second",
  drainTimeout: "2 seconds"
}

/** How many sockets at their own limit fit into the limit of their account. */
const accountShare = {
  perSecond: defaults.accountEventsPerSecond / defaults.eventsPerSecond,
  burst: defaults.accountEventBurst / defaults.eventBurst
}

/** The options that follow from the settings of the server. */
export const optionsOf = (
  values: Knob.Values<typeof knobs>,
  server: { readonly corsOrigins: ReadonlyArray<string>; readonly bodyLimitBytes: number }
): RealtimeOptions => ({
  ...defaults,
  ...values,
  origins: server.corsOrigins,
  payloadBytesMax: server.bodyLimitBytes,
  // A handshake that waits is verified within about a second.
  handshakeQueueLimit: Math.min(defaults.handshakeQueueLimit, values.handshakesPerSecond),
  // A setting for one socket never makes the limit of its account the one that is reached first.
  accountEventsPerSecond: Math.max(defaults.accountEventsPerSecond, accountShare.perSecond * values.eventsPerSecond),
  accountEventBurst: Math.max(defaults.accountEventBurst, accountShare.burst * values.eventBurst),
  // A few of the largest messages fit.
  outgoingBytesMax: Math.max(defaults.outgoingBytesMax, 4 * server.bodyLimitBytes)
})
