/** The settings of the storage quota of an account. */
import * as Knob from "../ConfigKnob.ts"

/** What an account may store. */
export interface Limits {
  /** Bytes of new rows; rows that exist may grow a tenth further. */
  readonly bytes: number
  readonly rows: number
}

const name = "HAPPIER_ACCOUNT_QUOTA"

export const knobs = {
  quota: Knob.choice(name, ["auto", "on", "off"], {
    fallback: "auto",
    meaning:
      "Whether an account may store only so much. `auto`: on while strangers can open accounts, that is, when " +
      "`AUTH_ANONYMOUS_SIGNUP_ENABLED` is on and not `first-account`, and the server can be reached from other " +
      "machines: `HOST` is not a loopback address, or `PUBLIC_URL` or `HAPPIER_TRUSTED_PROXIES` is set."
  }),
  bytes: Knob.integer(`${name}_BYTES`, {
    fallback: 1_073_741_824,
    min: 1_048_576,
    max: 1_099_511_627_776,
    unit: "bytes",
    meaning:
      "What an account may store: the bytes of its texts and blobs, and 256 for each row. What exists may grow a " +
      "tenth further, so that machines and sessions can be controlled at the limit."
  }),
  rows: Knob.integer(`${name}_ROWS`, {
    fallback: 1_000_000,
    min: 1000,
    max: 1_000_000_000,
    unit: "rows",
    meaning: "Rows that an account may store: sessions, messages, machines, artifacts, values, keys, tokens, reports."
  })
}

/** What the rest of the configuration says about who reaches the server. */
export interface Surroundings {
  readonly signUp: "open" | "closed" | "first-account"
  readonly host: string
  readonly publicUrl: string | undefined
  readonly trustedProxies: ReadonlyArray<string>
}

const isLoopback = (host: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)

/** Whether somebody whom nobody has let in may open an account. */
export const isOpenToStrangers = ({ host, publicUrl, signUp, trustedProxies }: Surroundings): boolean =>
  signUp === "open" && (!isLoopback(host) || publicUrl !== undefined || trustedProxies.length > 0)

/** `undefined`: an account may store whatever the disk takes. */
export const limitsOf = (
  { bytes, quota, rows }: Knob.Values<typeof knobs>,
  surroundings: Surroundings
): Limits | undefined =>
  quota === "on" || (quota === "auto" && isOpenToStrangers(surroundings)) ? { bytes, rows } : undefined
