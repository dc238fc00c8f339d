/** The variables behind `RateLimits`, and whose word about addresses counts. */
import { Either } from "effect"
import { isIP } from "node:net"
import * as Knob from "../ConfigKnob.ts"
import { defaults, type RateLimits } from "../door/RateLimit.ts"

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
    meaning: "The time in which requests are counted for the five limits below."
  }),
  rateLimitAuth: limit(
    "HAPPIER_RATE_LIMIT_AUTH",
    defaults.auth,
    "Requests without a good token, pairing and login included, per address (IPv6: per /64); 0: no limit. " +
      "A terminal that pairs asks once per second."
  ),
  rateLimitControl: limit(
    "HAPPIER_RATE_LIMIT_CONTROL",
    defaults.control,
    "Requests that may change something, per account; 0: no limit."
  ),
  rateLimitReads: limit(
    "HAPPIER_RATE_LIMIT_READS",
    defaults.reads,
    "Requests that only read, per account; 0: no limit."
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
  )
}

export const rateLimitsOf = (values: {
  readonly rateLimitWindowMillis: number
  readonly rateLimitAuth: number
  readonly rateLimitControl: number
  readonly rateLimitReads: number
  readonly rateLimitBadTokens: number
  readonly rateLimitSockets: number
}): RateLimits => ({
  ...defaults,
  windowMillis: values.rateLimitWindowMillis,
  auth: values.rateLimitAuth,
  control: values.rateLimitControl,
  reads: values.rateLimitReads,
  badTokens: values.rateLimitBadTokens,
  sockets: values.rateLimitSockets
})
