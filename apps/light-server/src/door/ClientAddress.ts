/**
 * Where a request comes from, for requests that Fastify sees and for those that
 * become websockets.
 */
import type { IncomingMessage } from "node:http"
import { BlockList, isIP } from "node:net"

export interface ClientAddress {
  /** Is the word of this address about others believed? */
  readonly isTrusted: (address: string) => boolean
  /** The nearest address that nobody trusted stands for, as Fastify finds it, too. */
  readonly of: (request: Pick<IncomingMessage, "headers" | "socket">) => string
}

const networksOf: { readonly [name: string]: ReadonlyArray<string> } = {
  loopback: ["127.0.0.0/8", "::1/128"],
  linklocal: ["169.254.0.0/16", "fe80::/10"],
  uniquelocal: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
}

const familyOf = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4")

/**
 * `trusted`: addresses, networks, and the names `loopback`, `linklocal` and
 * `uniquelocal`.
 */
export const make = (trusted: ReadonlyArray<string>): ClientAddress => {
  const list = new BlockList()
  for (const network of trusted.flatMap((name) => networksOf[name] ?? [name])) {
    const [address = "", bits] = network.split("/")
    if (bits === undefined) list.addAddress(address, familyOf(address))
    else list.addSubnet(address, Number(bits), familyOf(address))
  }
  const isTrusted = (address: string) => isIP(address) !== 0 && list.check(address, familyOf(address))
  return {
    isTrusted,
    of: ({ headers, socket }) => {
      const direct = socket.remoteAddress ?? ""
      if (!isTrusted(direct)) return direct
      const forwarded = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",")
      const hops = forwarded
        .map((hop) => hop.trim())
        .filter((hop) => hop !== "")
        .toReversed()
      return hops.find((hop) => !isTrusted(hop)) ?? hops.at(-1) ?? direct
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
 * What is counted as one: an IPv4 address whole, also in IPv6 form, and an IPv6
 * address by its first 64 bits, which is what one customer has.
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
