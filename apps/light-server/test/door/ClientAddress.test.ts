/**
 * Where a request comes from: Fastify and this module must always find the same
 * address.
 */
import { assert, describe, it } from "vitest"
import Fastify from "fastify"
import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import * as ClientAddress from "../../src/door/ClientAddress.ts"

const words = [
  "127.0.0.1",
  "::1",
  "::ffff:127.0.0.1",
  "10.1.2.3",
  "192.168.0.9",
  "169.254.1.1",
  "fe80::1",
  "fd00::2",
  "192.0.2.1",
  "192.0.2.200",
  "2001:db8::1",
  "unknown",
  "999.1.1.1"
]

describe("ClientAddress", () => {
  for (const trusted of [
    [],
    ["loopback"],
    ["loopback", "uniquelocal", "linklocal"],
    ["192.0.2.0/25", "::1", "10.1.2.3"]
  ]) {
    const whom = trusted.length === 0 ? "nobody" : trusted.join(", ")
    it(`finds the address that Fastify finds, with ${whom} trusted`, async () => {
      const { isTrusted, of } = ClientAddress.make(trusted)
      const chains = words.flatMap((first) => [[first], ...words.map((second) => [first, second])])
      for (const fastify of [Fastify({ trustProxy: isTrusted }), Fastify({ trustProxy: trusted })]) {
        fastify.get("/", (request) => ({ ip: request.ip, own: of(request.raw) }))
        for (const remoteAddress of ["127.0.0.1", "192.0.2.1", "fd00::2"]) {
          for (const chain of chains) {
            const headers = { "x-forwarded-for": chain.join(", ") }
            const { ip, own } = (await fastify.inject({ url: "/", remoteAddress, headers })).json<{
              readonly ip: string
              readonly own: string
            }>()
            // A text that is not an address is not used: the proxy that passed it on is counted.
            const nearest =
              isIP(ip) === 0 ? (chain[1] !== undefined && isIP(chain[1]) !== 0 ? chain[1] : remoteAddress) : ip
            assert.strictEqual(own, nearest, `${remoteAddress} with ${headers["x-forwarded-for"]}`)
          }
        }
      }
    })
  }

  const from = (peer: string, forwarded: string) =>
    ({ headers: { "x-forwarded-for": forwarded }, socket: { remoteAddress: peer } }) as unknown as IncomingMessage

  it("finds the address in hops with a port or quotes, which differ with each connection", () => {
    const { of } = ClientAddress.make(["loopback", "10.0.0.0/8"])
    for (const [forwarded, address] of [
      ["192.0.2.1:4711", "192.0.2.1"],
      ["192.0.2.1:4712, 10.0.0.1:80", "192.0.2.1"],
      ['"[2001:db8::1]:4711"', "2001:db8::1"],
      ["[2001:db8::1]", "2001:db8::1"],
      ['"192.0.2.1"', "192.0.2.1"],
      ["2001:db8::1:4711", "2001:db8::1:4711"],
      ["made-up-1", "127.0.0.1"],
      ["192.0.2.9, made-up-2, 10.0.0.1", "10.0.0.1"],
      ["", "127.0.0.1"],
      [",,", "127.0.0.1"]
    ] as const) {
      assert.strictEqual(of(from("127.0.0.1", forwarded)), address, forwarded)
    }
  })

  it("reports an X-Forwarded-For from a peer that is not trusted", () => {
    const told: Array<string> = []
    const { of } = ClientAddress.make(["10.0.0.0/8"], (peer) => told.push(peer))
    of(from("10.0.0.1", "192.0.2.1"))
    assert.deepStrictEqual(told, [])
    assert.strictEqual(of(from("192.0.2.200", "192.0.2.1")), "192.0.2.200")
    assert.deepStrictEqual(told, ["192.0.2.200"])
  })

  it("has an answer for a connection that is gone", () => {
    const request = { headers: {}, socket: { remoteAddress: undefined } } as unknown as IncomingMessage
    assert.strictEqual(ClientAddress.make(["loopback"]).of(request), "")
  })

  it("counts IPv4 whole, also in IPv6 form, and IPv6 by its first 64 bits", () => {
    assert.deepStrictEqual(
      [
        "192.0.2.1",
        "::ffff:192.0.2.1",
        "::1",
        "2001:db8::",
        "2001:DB8:0:0:1:2:3:4",
        "fe80::1%eth0",
        "1:2:3:4:5:6:7::",
        "nonsense"
      ].map(ClientAddress.keyOf),
      [
        "192.0.2.1",
        "192.0.2.1",
        "0:0:0:0::/64",
        "2001:db8:0:0::/64",
        "2001:db8:0:0::/64",
        "fe80:0:0:0::/64",
        "1:2:3:4::/64",
        "nonsense"
      ]
    )
  })
})
