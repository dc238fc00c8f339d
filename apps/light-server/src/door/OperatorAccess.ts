/**
 * Whether a request is the operator's: it comes from this machine, or it has
 * the operator's token.
 *
 * A request that a proxy passed on does not come from this machine, even if the
 * proxy is on it. A page of another site that the operator has open must not
 * read anything either, so the names in `Host` and `Origin` are checked: a site
 * can let its own name point to 127.0.0.1.
 */
import { Redacted } from "effect"
import { createHash, createHmac, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"

/** `loopback` also admits the token, if there is one. */
export type Audience = "loopback" | "token" | "open" | "off"

/**
 * - `granted`
 * - `unproven`: only the token can help.
 * - `hidden`: the answer is that of an unknown route.
 */
export type Decision = "granted" | "unproven" | "hidden"

export type Asking = Pick<IncomingMessage, "headers" | "httpVersion" | "socket">

export interface OperatorAccess {
  readonly decide: (request: Asking, audience: Audience) => Decision
  /**
   * The value of a cookie that proves the token, for a request that has shown it: a websocket of a browser sends
   * cookies and no password. `undefined`: no token was shown.
   */
  readonly cookieFor: (request: Asking) => string | undefined
}

/** Name of the cookie. */
export const cookieName = "light_server_operator"

/** Headers by which proxies say that they pass a request on. */
const relayHeaders = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "cf-connecting-ip",
  "true-client-ip"
]

const isLoopbackAddress = (address: string): boolean =>
  address === "::1" || (isIP(address.replace(/^::ffff:/i, "")) === 4 && /^(::ffff:)?127\./i.test(address))

/** The host of a `Host` header or of an origin, without its port. */
const hostnameOf = (host: string): string => {
  const url = `http://${host}`
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, "$1") : ""
}

const isLoopbackName = (hostname: string): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || isLoopbackAddress(hostname)

const isFromThisMachine = ({ headers, httpVersion, socket }: Asking): boolean =>
  isLoopbackAddress(socket.remoteAddress ?? "") &&
  // HTTP/1.0 is what some proxies speak unless told otherwise; browsers and scrapers do not.
  httpVersion !== "1.0" &&
  relayHeaders.every((name) => headers[name] === undefined) &&
  isLoopbackName(hostnameOf(headers.host ?? ""))

/** A browser says which site a script or a form belongs to. Without the header it is no script of another site. */
const isSameSite = ({ headers: { host, origin } }: Asking): boolean =>
  origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)

const digestOf = (text: string): Buffer => createHash("sha256").update(text).digest()

const isEqual = (one: string, other: string): boolean => timingSafeEqual(digestOf(one), digestOf(other))

const bearerOf = ({ headers }: Asking): string => /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? ""

/** The password of the dialog of a browser. */
const passwordOf = ({ headers }: Asking): string => {
  const encoded = /^Basic +(\S+)$/i.exec(headers.authorization ?? "")?.[1] ?? ""
  return Buffer.from(encoded, "base64").toString("utf8").split(":").slice(1).join(":")
}

const cookieOf = ({ headers }: Asking): string =>
  (headers.cookie ?? "")
    .split(";")
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${cookieName}=`))
    ?.slice(cookieName.length + 1) ?? ""

export const make = (operatorToken: Redacted.Redacted | undefined): OperatorAccess => {
  const token = operatorToken === undefined ? undefined : Redacted.value(operatorToken)
  // Not the token itself: a cookie is stored on a disk.
  const cookie = token === undefined ? undefined : createHmac("sha256", token).update("status page").digest("hex")
  const hasShownToken = (request: Asking) =>
    token !== undefined &&
    (isEqual(bearerOf(request), token) || (isSameSite(request) && isEqual(passwordOf(request), token)))
  const hasToken = (request: Asking) =>
    hasShownToken(request) || (cookie !== undefined && isSameSite(request) && isEqual(cookieOf(request), cookie))
  return {
    decide: (request, audience) => {
      if (audience === "open") return "granted"
      if (audience === "off") return "hidden"
      if (audience === "loopback" && isFromThisMachine(request) && isSameSite(request)) return "granted"
      if (hasToken(request)) return "granted"
      return audience === "token" ? "unproven" : "hidden"
    },
    cookieFor: (request) => (hasShownToken(request) ? cookie : undefined)
  }
}
