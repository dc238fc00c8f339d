/** The variables of the HTTP side: limits, trusted proxies and the web app. */
import { Either } from "effect"
import { isIP } from "node:net"
import * as Knob from "../ConfigKnob.ts"
import { defaults, type RateLimits } from "../door/RateLimit.ts"
import { messageBytesMax } from "./BodyLimit.ts"
import * as ConnectionLimit from "./ConnectionLimit.ts"
import * as Shedding from "./Shedding.ts"

const names = new Set(["loopback", "linklocal", "uniquelocal"])

const isNetwork = (text: string) => {
  const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  return names.has(text) || (version !== 0 && Number(bits ?? 0) <= (version === 4 ? 32 : 128))
}

const parseProxies = (text: string): Either.Either<ReadonlyArray<string>, string> => {
  const proxies = text
    .split(",")
    .map((proxy) => proxy.trim())
    .filter((proxy) => proxy !== "")
  const wrong = proxies.filter((proxy) => !isNetwork(proxy))
  return wrong.length === 0 ? Either.right(proxies) : Either.left(`${wrong.join(", ")}: no address and no network`)
}

const limit = (name: string, fallback: number, meaning: string) =>
  Knob.integer(name, { fallback: String(fallback), min: 0, max: 10_000_000, meaning })

export const knobs = {
  trustedProxies: Knob.make(
    "HAPPIER_TRUSTED_PROXIES",
    {
      allowed: "addresses and networks, separated by commas; loopback, linklocal, uniquelocal",
      meaning:
        "Proxies whose `X-Forwarded-For` is believed. Unset: nobody's, so behind a proxy all clients share one address."
    },
    parseProxies
  ),
  rateLimitWindowMillis: Knob.integer("HAPPIER_RATE_LIMIT_WINDOW_MS", {
    fallback: String(defaults.windowMillis),
    min: 1000,
    max: 3_600_000,
    meaning: "The time in which costs are counted for the six limits below."
  }),
  rateLimitAuth: limit(
    "HAPPIER_RATE_LIMIT_AUTH",
    defaults.auth,
    "Requests without a good token, pairing and login included, per address (IPv6: per /64); 0: no limit. " +
      "A terminal that pairs asks once per second."
  ),
  rateLimitOpen: limit(
    "HAPPIER_RATE_LIMIT_OPEN",
    defaults.open,
    "Other requests without an account (health, version, the web app), per address; 0: no limit."
  ),
  rateLimitControl: limit(
    "HAPPIER_RATE_LIMIT_CONTROL",
    defaults.control,
    "Points of requests that may change something, per account; 0: no limit."
  ),
  rateLimitReads: limit(
    "HAPPIER_RATE_LIMIT_READS",
    defaults.reads,
    "Points of requests that only read, per account; 0: no limit. A request costs one, a large answer one more per " +
      "64 KiB and per millisecond of the event loop."
  ),
  rateLimitBadTokens: limit(
    "HAPPIER_RATE_LIMIT_BAD_TOKENS",
    defaults.badTokens,
    "Bad tokens in requests and handshakes, per address; then tokens that were not good lately are refused " +
      "unverified; 0: no limit."
  ),
  rateLimitSockets: limit(
    "HAPPIER_RATE_LIMIT_SOCKETS",
    defaults.sockets,
    "Sockets that are opened, per address; 0: no limit."
  ),
  messageLimitBytes: Knob.integer("HAPPIER_MESSAGE_LIMIT_BYTES", {
    fallback: String(messageBytesMax),
    min: 1024,
    max: 104_857_600,
    meaning: "Largest body of a request that stores a message, unless `HAPPIER_BODY_LIMIT_BYTES` is larger."
  }),
  shedDelayMillis: Knob.integer("HAPPIER_SHED_DELAY_MS", {
    fallback: String(Shedding.delayMillisDefault),
    min: 0,
    max: 60_000,
    meaning:
      "How late the event loop is when large reads are refused; other reads at 2 times as much, changes at 6, " +
      "registrations and logins at 20; 0: never."
  }),
  connectionLimit: limit(
    "HAPPIER_CONNECTION_LIMIT",
    ConnectionLimit.defaults.total,
    "Connections at once, those of sockets included; 0: no limit."
  ),
  addressConnectionLimit: limit(
    "HAPPIER_CONNECTION_ADDRESS_LIMIT",
    ConnectionLimit.defaults.perAddress,
    "Connections of one address at once, trusted proxies apart; 0: no limit."
  ),
  webAppDirectory: Knob.make(
    "HAPPIER_SERVER_UI_DIR",
    { allowed: "a directory", meaning: "Folder of a built web app that is served beside the API. Unset: none." },
    (text) => Either.right(text === "" ? undefined : text)
  )
}

export const rateLimitsOf = (values: {
  readonly rateLimitWindowMillis: number
  readonly rateLimitAuth: number
  readonly rateLimitOpen: number
  readonly rateLimitControl: number
  readonly rateLimitReads: number
  readonly rateLimitBadTokens: number
  readonly rateLimitSockets: number
}): RateLimits => ({
  ...defaults,
  windowMillis: values.rateLimitWindowMillis,
  auth: values.rateLimitAuth,
  open: values.rateLimitOpen,
  control: values.rateLimitControl,
  reads: values.rateLimitReads,
  badTokens: values.rateLimitBadTokens,
  sockets: values.rateLimitSockets
})

/** What `HttpApp` takes of the variables above, besides the limits and the proxies. */
export interface HttpSettings {
  readonly messageLimitBytes: number
  readonly shedDelayMillis: number
  readonly connections: ConnectionLimit.ConnectionLimits
  readonly webAppDirectory: string | undefined
}

export const settingsOf = (values: {
  readonly messageLimitBytes: number
  readonly shedDelayMillis: number
  readonly connectionLimit: number
  readonly addressConnectionLimit: number
  readonly webAppDirectory: string | undefined
}): HttpSettings => ({
  messageLimitBytes: values.messageLimitBytes,
  shedDelayMillis: values.shedDelayMillis,
  connections: { total: values.connectionLimit, perAddress: values.addressConnectionLimit },
  webAppDirectory: values.webAppDirectory
})
