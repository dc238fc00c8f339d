/**
 * Where a request comes from, for requests that Fastify handles and for those
 * that become websockets. Both use the package behind Fastify's `trustProxy`,
 * with one function that decides which proxies are trusted.
 */
import proxyAddr from "@fastify/proxy-addr"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"

export interface ClientAddress {
  /** Whether the `X-Forwarded-For` of this hop is trusted. Fastify takes it as `trustProxy`. */
  readonly isTrusted: (hop: string, index: number) => boolean
  /** The nearest address that is no trusted proxy. */
  readonly of: (request: Pick<IncomingMessage, "headers" | "socket">) => string
}

/**
 * The address in a hop of `X-Forwarded-For`. Some proxies add the port of the
 * client, which differs with each connection, and quotes: `192.0.2.1:4711`,
 * `"[2001:db8::1]:4711"`. `undefined` for a text that is not an address, such
 * as `unknown`.
 */
export const addressIn = (hop: string): string | undefined => {
  const text = hop.trim().replace(/^"(.*)"$/s, "$1")
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(text)?.[1]
  const withPort = /^(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}$/.exec(text)?.[1]
  const address = bracketed ?? withPort ?? text
  return isIP(address) === 0 ? undefined : address
}

/**
 * `trusted`: addresses, networks, and the names `loopback`, `linklocal` and
 * `uniquelocal`. `onUntrusted` is called for each request with an
 * `X-Forwarded-For` from a peer that is not trusted.
 */
export const make = (trusted: ReadonlyArray<string>, onUntrusted: (peer: string) => void = () => {}): ClientAddress => {
  const check = trusted.length === 0 ? () => false : proxyAddr.compile([...trusted])
  const isTrusted = (hop: string, index: number) => {
    const address = addressIn(hop)
    return address !== undefined && check(address.replace(/%.*$/s, ""), index)
  }
  return {
    isTrusted,
    of: (request) => {
      const peer = request.socket.remoteAddress
      if (peer === undefined) return ""
      if (request.headers["x-forwarded-for"] === undefined) return peer
      if (!isTrusted(peer, 0)) {
        onUntrusted(peer)
        return peer
      }
      // The last one is not trusted, or the first of the chain. A text that is not an address would give its sender a
      // limiter key of its own, so the proxy that passed it on is counted instead.
      const hops = proxyAddr.all(request as IncomingMessage, isTrusted)
      return hops.toReversed().flatMap((hop) => addressIn(hop) ?? [])[0] ?? peer
    }
  }
}

/** The eight groups of an IPv6 address, in the form that URLs give it. */
const groupsOf = (address: string): ReadonlyArray<string> => {
  const canonical = new URL(`http://[${address.replace(/%.*$/s, "")}]`).hostname.slice(1, -1)
  const [head = "", tail] = canonical.split("::").map((part) => part.split(":").filter((group) => group !== ""))
  if (tail === undefined) return Array.from(head)
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => "0"), ...tail]
}

/**
 * The unit that is counted: a whole IPv4 address, also in IPv6 form, and the
 * first 64 bits of an IPv6 address, which is the network of one customer.
 */
export const keyOf = (address: string): string => {
  if (isIP(address) !== 6) return address
  const groups = groupsOf(address)
  if (groups.slice(0, 5).every((group) => group === "0") && groups[5] === "ffff") {
    const [high = 0, low = 0] = groups.slice(6).map((group) => Number.parseInt(group, 16))
    return [high >> 8, high & 255, low >> 8, low & 255].join(".")
  }
  return `${groups.slice(0, 4).join(":")}::/64`
}
