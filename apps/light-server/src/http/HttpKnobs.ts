/** The settings of HTTP: address, port, origins, proxies and bodies. */
import { Either } from "effect"
import { isIP } from "node:net"
import * as Knob from "../ConfigKnob.ts"
import { messageBytesMax } from "./BodyLimit.ts"
import * as ConnectionLimit from "./ConnectionLimit.ts"
import * as Shedding from "./Shedding.ts"

/**
 * `undefined` when the text is not an origin. The URL standard has no origin for
 * schemes of desktop and phone shells (`tauri:`, `capacitor:`), and browsers
 * send scheme and host in lower case for them.
 */
const originOf = (text: string): string | undefined => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.host === "" || url.username !== "" || url.password !== "") return undefined
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") return undefined
  return `${url.protocol}//${url.host}`.toLowerCase()
}

const parseOrigins = (text: string): Either.Either<ReadonlyArray<string>, string> => {
  const items = Knob.itemsOf(text)
  if (items.includes("*")) return items.length > 1 ? Either.left("* must be the only item") : Either.right(items)
  const wrong = items.filter((item) => originOf(item) === undefined)
  return wrong.length > 0
    ? Either.left(`${wrong.join(", ")}: an origin is scheme, host and port, without a path`)
    : Either.right([...new Set(items.flatMap((item) => originOf(item) ?? []))])
}

/** The path is kept: the server can be reached below it. Credentials are dropped, since the URL is shown. */
const parsePublicUrl = (text: string): Either.Either<string | undefined, string> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol !== "http:" && url?.protocol !== "https:") return Either.left("")
  if (url.search !== "" || url.hash !== "") return Either.left("A query or a fragment cannot be part of it")
  return Either.right(`${url.origin}${url.pathname.replace(/\/+$/, "")}`)
}

const networks = new Set(["loopback", "linklocal", "uniquelocal"])

const isNetwork = (text: string) => {
  const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? []
  const version = isIP(address)
  return networks.has(text) || (version !== 0 && Number(bits ?? 0) <= (version === 4 ? 32 : 128))
}

/** The other server takes a switch or a number of proxies; only "none" means the same here. */
const parseProxies = (text: string): Either.Either<ReadonlyArray<string>, string> => {
  const word = text.toLowerCase()
  if (Knob.no.includes(word)) return Either.right([])
  if (Knob.yes.includes(word) || /^\d+$/.test(word)) {
    return Either.left(
      `${text} would let every client choose its own address; ` +
        "name the proxy in HAPPIER_TRUSTED_PROXIES, for example loopback for one on this machine"
    )
  }
  const proxies = Knob.itemsOf(text)
  const wrong = proxies.filter((proxy) => !isNetwork(proxy))
  return wrong.length === 0
    ? Either.right(proxies)
    : Either.left(`${wrong.join(", ")}: neither an address nor a network`)
}

export const knobs = {
  host: Knob.make(
    "HOST",
    {
      aliases: ["HAPPIER_SERVER_HOST"],
      fallback: "127.0.0.1",
      allowed: "an address or a host name",
      meaning:
        "The address to listen on. `localhost`: 127.0.0.1 and ::1. `0.0.0.0` or `::` opens the server to the network."
    },
    Either.right<string>
  ),
  port: Knob.integer("PORT", {
    aliases: ["HAPPIER_SERVER_PORT"],
    fallback: 3005,
    min: 0,
    max: 65_535,
    meaning: "The port to listen on; 0: any free port."
  }),
  publicUrl: Knob.make<string | undefined>(
    "PUBLIC_URL",
    {
      aliases: ["HAPPIER_PUBLIC_SERVER_URL"],
      fallback: undefined,
      allowed: "an http or https URL",
      meaning:
        "The address that clients use, shown at the start. With a path, requests below it are served too. " +
        "Unset: the address of the server."
    },
    parsePublicUrl
  ),
  corsOrigins: Knob.make<ReadonlyArray<string>>(
    "HAPPIER_CORS_ORIGINS",
    {
      fallback: [],
      allowed: "origins, separated by commas; or *",
      meaning:
        "Origins whose pages may call the server, `https://app.example.org` or `tauri://localhost`. " +
        "Unset: no web page may."
    },
    parseOrigins
  ),
  bodyLimitBytes: Knob.integer("HAPPIER_BODY_LIMIT_BYTES", {
    fallback: 1_048_576,
    min: 1024,
    max: 104_857_600,
    unit: "bytes",
    meaning: "Largest body of a request, and largest message over a socket."
  }),
  trustedProxies: Knob.make<ReadonlyArray<string>>(
    "HAPPIER_TRUSTED_PROXIES",
    {
      aliases: ["HAPPIER_SERVER_TRUST_PROXY"],
      fallback: [],
      allowed: "addresses and networks, separated by commas; loopback, linklocal, uniquelocal",
      meaning: "Proxies whose `X-Forwarded-For` is used. Unset: none, so all clients of a proxy share its address."
    },
    parseProxies
  ),
  messageLimitBytes: Knob.integer("HAPPIER_MESSAGE_LIMIT_BYTES", {
    fallback: messageBytesMax,
    min: 1024,
    max: 104_857_600,
    unit: "bytes",
    meaning: "Largest body of a request that stores a message, unless `HAPPIER_BODY_LIMIT_BYTES` is larger."
  }),
  shedDelayMillis: Knob.integer("HAPPIER_SHED_DELAY_MS", {
    fallback: Shedding.delayMillisDefault,
    min: 0,
    max: 60_000,
    unit: "ms",
    meaning:
      "Delay of the event loop above which large reads are refused; other reads at 2 times as much, changes at 6, " +
      "registrations and logins at 20; 0: never."
  }),
  connectionLimit: Knob.integer("HAPPIER_CONNECTION_LIMIT", {
    fallback: ConnectionLimit.defaults.total,
    min: 0,
    max: 10_000_000,
    meaning: "Connections open at once, those of sockets included; 0: no limit."
  }),
  addressConnectionLimit: Knob.integer("HAPPIER_CONNECTION_ADDRESS_LIMIT", {
    fallback: ConnectionLimit.defaults.perAddress,
    min: 0,
    max: 10_000_000,
    meaning: "Connections of one address open at once, except of trusted proxies; 0: no limit."
  }),
  webAppDirectory: Knob.make<string | undefined>(
    "HAPPIER_SERVER_UI_DIR",
    {
      fallback: undefined,
      allowed: "a directory",
      meaning: "The folder of a built web app that is served beside the API. Unset: none."
    },
    Either.right<string>
  )
}
