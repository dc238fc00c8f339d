/** The settings of the limits per address and account. */
import * as Knob from "../ConfigKnob.ts"

const perMinute = (name: string, fallback: number, meaning: string) =>
  Knob.integer(name, { fallback, min: 0, max: 10_000_000, unit: "per minute", meaning: `${meaning} 0: no limit.` })

export const knobs = {
  auth: perMinute(
    "HAPPIER_RATE_LIMIT_AUTH",
    600,
    "Requests without a valid token, including pairing and login, per address (IPv6: per /64). " +
      "A terminal that pairs sends one request per second."
  ),
  open: perMinute(
    "HAPPIER_RATE_LIMIT_OPEN",
    6000,
    "Other requests without an account (health, version, the web app), per address."
  ),
  control: perMinute("HAPPIER_RATE_LIMIT_CONTROL", 6000, "Points of requests that can change something, per account."),
  reads: perMinute(
    "HAPPIER_RATE_LIMIT_READS",
    12_000,
    "Points of requests that only read, per account. A request costs one point, and one more for each 64 KiB of its " +
      "answer and each millisecond of the event loop."
  ),
  badTokens: perMinute(
    "HAPPIER_RATE_LIMIT_BAD_TOKENS",
    600,
    "Invalid tokens in requests and handshakes, per address. Above the limit, only tokens that were valid recently " +
      "are accepted from the address."
  ),
  sockets: perMinute("HAPPIER_RATE_LIMIT_SOCKETS", 6000, "Sockets that are opened, per address.")
}
