/** The variables behind `RealtimeOptions`. */
import { Duration } from "effect"
import * as Knob from "../ConfigKnob.ts"
import { defaults, type RealtimeOptions } from "./RealtimeOptions.ts"

const millis = (name: string, fallback: Duration.DurationInput, min: number, max: number, meaning: string) =>
  Knob.integer(name, { fallback: String(Duration.toMillis(fallback)), min, max, meaning })

const count = (name: string, fallback: number, max: number, meaning: string) =>
  Knob.integer(name, { fallback: String(fallback), min: 1, max, meaning })

const gibibyte = 1_073_741_824

export const knobs = {
  socketPingIntervalMillis: millis(
    "HAPPIER_SOCKET_PING_INTERVAL_MS",
    defaults.pingInterval,
    1000,
    300_000,
    "Time between two pings of a socket."
  ),
  socketPingTimeoutMillis: millis(
    "HAPPIER_SOCKET_PING_TIMEOUT_MS",
    defaults.pingTimeout,
    1000,
    300_000,
    "Silence after a ping that ends a socket."
  ),
  socketConnectTimeoutMillis: millis(
    "HAPPIER_SOCKET_CONNECT_TIMEOUT_MS",
    defaults.connectTimeout,
    1000,
    120_000,
    "Longest time from the open transport to the handshake."
  ),
  socketHandshakeTimeoutMillis: millis(
    "HAPPIER_SOCKET_HANDSHAKE_TIMEOUT_MS",
    defaults.handshakeTimeout,
    100,
    120_000,
    "Longest wait for a verified handshake, its turn included."
  ),
  socketHandshakeLimit: count(
    "HAPPIER_SOCKET_HANDSHAKE_LIMIT",
    defaults.handshakeLimit,
    100_000,
    "Handshakes that are verified at once; others wait for their turn."
  ),
  socketHandshakeQueueLimit: Knob.integer("HAPPIER_SOCKET_HANDSHAKE_QUEUE_LIMIT", {
    fallback: String(defaults.handshakeQueueLimit),
    min: 0,
    max: 100_000,
    meaning: "Handshakes that wait for their turn; one more comes back later."
  }),
  socketHandshakesPerSecond: count(
    "HAPPIER_SOCKET_HANDSHAKES_PER_SECOND",
    defaults.handshakesPerSecond,
    1_000_000,
    "Sockets that are opened per second in the long run; one more comes back later."
  ),
  socketLimit: count(
    "HAPPIER_SOCKET_LIMIT",
    defaults.socketLimit,
    1_000_000,
    "Sockets at once; one more comes back later."
  ),
  socketAccountLimit: count(
    "HAPPIER_SOCKET_ACCOUNT_LIMIT",
    defaults.accountSocketLimit,
    1_000_000,
    "Sockets of one account at once; one more comes back later."
  ),
  socketEventsPerSecond: count(
    "HAPPIER_SOCKET_EVENTS_PER_SECOND",
    defaults.eventsPerSecond,
    1_000_000,
    "Events of one socket per second in the long run; one more is refused."
  ),
  socketEventBurst: count(
    "HAPPIER_SOCKET_EVENT_BURST",
    defaults.eventBurst,
    1_000_000,
    "Events of one socket at once, after silence. As many refused ones close it."
  ),
  socketAccountEventsPerSecond: count(
    "HAPPIER_SOCKET_ACCOUNT_EVENTS_PER_SECOND",
    defaults.accountEventsPerSecond,
    1_000_000,
    "Events of all sockets of one account per second in the long run; one more is refused."
  ),
  socketAccountEventBurst: count(
    "HAPPIER_SOCKET_ACCOUNT_EVENT_BURST",
    defaults.accountEventBurst,
    1_000_000,
    "Events of all sockets of one account at once, after silence."
  ),
  socketInFlightLimit: count(
    "HAPPIER_SOCKET_IN_FLIGHT_LIMIT",
    defaults.inFlightLimit,
    100_000,
    "Events of one socket that are not answered yet; one more is refused."
  ),
  socketLaggingBytes: Knob.integer("HAPPIER_SOCKET_LAGGING_BYTES", {
    fallback: String(defaults.outgoingBytesLagging),
    min: 1024,
    max: gibibyte,
    meaning: "What may wait for one socket before it misses repeated signs of life."
  }),
  socketOutgoingLimitBytes: Knob.optionalInteger("HAPPIER_SOCKET_OUTGOING_LIMIT_BYTES", {
    min: 1024,
    max: gibibyte,
    meaning:
      "What may wait for one socket before its transport is closed. Unset: 8388608, or four bodies if that is more."
  }),
  socketCloseSpreadMillis: millis(
    "HAPPIER_SOCKET_CLOSE_SPREAD_MS",
    defaults.closeSpread,
    0,
    60_000,
    "Time over which sockets are closed at shutdown, so that not all clients come back in one instant."
  ),
  socketDrainTimeoutMillis: millis(
    "HAPPIER_SOCKET_DRAIN_TIMEOUT_MS",
    defaults.drainTimeout,
    0,
    120_000,
    "Longest wait at shutdown for events that are being answered."
  ),
  ownershipTtlMillis: millis(
    "HAPPIER_OWNERSHIP_TTL_MS",
    defaults.validityTtl,
    1,
    3_600_000,
    "How long it is remembered whose a session or machine is."
  ),
  ownershipCapacity: count(
    "HAPPIER_OWNERSHIP_CAPACITY",
    defaults.validityCapacity,
    10_000_000,
    "Sessions and machines of which that is remembered at once."
  )
} as const

type Values = { readonly [K in keyof typeof knobs]: (typeof knobs)[K] extends Knob.Knob<infer A> ? A : never }

/** A few of the largest messages fit, whatever the largest is. */
const outgoingBytesMax = (values: Values, bodyLimitBytes: number) =>
  values.socketOutgoingLimitBytes ?? Math.max(defaults.outgoingBytesMax, 4 * bodyLimitBytes)

/** The options that the variables and the rest of the configuration make. */
export const optionsOf = (
  values: Values,
  server: { readonly corsOrigins: ReadonlyArray<string>; readonly bodyLimitBytes: number }
): RealtimeOptions => ({
  ...defaults,
  origins: server.corsOrigins,
  pingInterval: values.socketPingIntervalMillis,
  pingTimeout: values.socketPingTimeoutMillis,
  connectTimeout: values.socketConnectTimeoutMillis,
  handshakeTimeout: values.socketHandshakeTimeoutMillis,
  handshakeLimit: values.socketHandshakeLimit,
  handshakeQueueLimit: values.socketHandshakeQueueLimit,
  handshakesPerSecond: values.socketHandshakesPerSecond,
  socketLimit: values.socketLimit,
  accountSocketLimit: values.socketAccountLimit,
  payloadBytesMax: server.bodyLimitBytes,
  eventsPerSecond: values.socketEventsPerSecond,
  eventBurst: values.socketEventBurst,
  accountEventsPerSecond: values.socketAccountEventsPerSecond,
  accountEventBurst: values.socketAccountEventBurst,
  inFlightLimit: values.socketInFlightLimit,
  outgoingBytesLagging: values.socketLaggingBytes,
  outgoingBytesMax: outgoingBytesMax(values, server.bodyLimitBytes),
  validityTtl: values.ownershipTtlMillis,
  validityCapacity: values.ownershipCapacity,
  closeSpread: values.socketCloseSpreadMillis,
  drainTimeout: values.socketDrainTimeoutMillis
})

/** What the variables say against each other. */
export const problemsOf = (values: Values, bodyLimitBytes: number): ReadonlyArray<string> => {
  const lagging = values.socketLaggingBytes
  const limit = outgoingBytesMax(values, bodyLimitBytes)
  const outgoing = `${knobs.socketOutgoingLimitBytes.name} (${limit} bytes)`
  return [
    ...(lagging >= limit
      ? [
          `${knobs.socketLaggingBytes.name} (${lagging} bytes) must be below ${outgoing}: ` +
            "what can be repeated is left out before the socket is closed"
        ]
      : []),
    ...(limit < 2 * bodyLimitBytes
      ? [
          `${outgoing} must be at least twice HAPPIER_BODY_LIMIT_BYTES (${bodyLimitBytes} bytes): ` +
            "one large message must not close the sockets that get it"
        ]
      : [])
  ]
}
