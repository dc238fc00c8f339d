import { assert, describe, it } from "@effect/vitest"
import { Redacted } from "effect"
import * as OperatorAccess from "../../src/door/OperatorAccess.ts"

const token = "a-token-of-the-operator"
const access = OperatorAccess.make(Redacted.make(token))
const withoutToken = OperatorAccess.make(undefined)

const asking = (
  headers: Record<string, string> = {},
  { address = "127.0.0.1", httpVersion = "1.1" } = {}
): OperatorAccess.Asking => ({
  headers: { host: "127.0.0.1:3005", ...headers },
  httpVersion,
  socket: { remoteAddress: address } as OperatorAccess.Asking["socket"]
})

const basic = (password: string) => `Basic ${Buffer.from(`any:${password}`).toString("base64")}`

describe("OperatorAccess on the loopback", () => {
  it.each(["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])("admits %s", (address) => {
    assert.strictEqual(access.decide(asking({}, { address }), "loopback"), "granted")
  })

  it.each(["127.0.0.1:3005", "localhost:3005", "[::1]:3005", "server.localhost"])("knows the host %s", (host) => {
    assert.strictEqual(access.decide(asking({ host }), "loopback"), "granted")
  })

  it.each(["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "127.0.0.1.example.org", ""])(
    "hides itself from %s",
    (address) => {
      assert.strictEqual(access.decide(asking({}, { address }), "loopback"), "hidden")
    }
  )

  it.each([
    ["x-forwarded-for", "127.0.0.1"],
    ["x-forwarded-for", ""],
    ["forwarded", "for=127.0.0.1"],
    ["x-real-ip", "127.0.0.1"],
    ["via", "1.1 proxy"],
    ["x-forwarded-proto", "https"]
  ])("hides itself from what a proxy on this machine passed on: %s", (name, value) => {
    assert.strictEqual(access.decide(asking({ [name]: value }), "loopback"), "hidden")
  })

  it("hides itself from a proxy that speaks HTTP/1.0, and under a name of the network", () => {
    assert.strictEqual(access.decide(asking({}, { httpVersion: "1.0" }), "loopback"), "hidden")
    for (const host of ["relay.example.org", "localhost.example.org", "192.0.2.1:3005", ""]) {
      assert.strictEqual(access.decide(asking({ host }), "loopback"), "hidden", host)
    }
  })

  it("hides itself from pages of other sites in the browser of the operator", () => {
    assert.strictEqual(access.decide(asking({ origin: "http://127.0.0.1:3005" }), "loopback"), "granted")
    for (const origin of ["https://evil.example", "http://127.0.0.1:8080", "http://localhost:3005", "null"]) {
      assert.strictEqual(access.decide(asking({ origin }), "loopback"), "hidden", origin)
    }
  })

  it("admits the token from elsewhere, and says nothing to a wrong one", () => {
    const far = { address: "192.0.2.1" }
    assert.strictEqual(access.decide(asking({ authorization: `Bearer ${token}` }, far), "loopback"), "granted")
    assert.strictEqual(access.decide(asking({ authorization: basic(token) }, far), "loopback"), "granted")
    assert.strictEqual(access.decide(asking({ authorization: `Bearer ${token}x` }, far), "loopback"), "hidden")
  })
})

describe("OperatorAccess by token", () => {
  it("does not admit this machine without it", () => {
    assert.strictEqual(access.decide(asking(), "token"), "unproven")
    for (const authorization of ["", "Bearer", "Bearer x", "Basic !!!", basic(""), basic(`${token} `)]) {
      assert.strictEqual(access.decide(asking({ authorization }), "token"), "unproven", authorization)
    }
    assert.strictEqual(access.decide(asking({ authorization: basic(token) }), "token"), "granted")
  })

  it("admits the cookie that it gave to the token, from its own pages only", () => {
    const shown = asking({ authorization: basic(token) })
    const cookie = `other=1; ${OperatorAccess.cookieName}=${access.cookieFor(shown)}`
    assert.strictEqual(access.decide(asking({ cookie }), "token"), "granted")
    assert.strictEqual(access.decide(asking({ cookie, origin: "https://evil.example" }), "token"), "unproven")
    assert.strictEqual(access.decide(asking({ cookie: `${OperatorAccess.cookieName}=` }), "token"), "unproven")
    assert.notInclude(cookie, token)
    // A cookie makes no further cookies, so that an old one ends with its browser.
    assert.isUndefined(access.cookieFor(asking({ cookie })))
  })

  it("does not use the password of a browser for a page of another site", () => {
    const headers = { authorization: basic(token), origin: "https://evil.example" }
    assert.strictEqual(access.decide(asking(headers), "token"), "unproven")
  })

  it("admits nobody when there is no token", () => {
    for (const authorization of ["Bearer ", "Bearer undefined", basic("")]) {
      assert.strictEqual(withoutToken.decide(asking({ authorization }), "token"), "unproven", authorization)
    }
    assert.strictEqual(
      withoutToken.decide(asking({ cookie: `${OperatorAccess.cookieName}=undefined` }), "token"),
      "unproven"
    )
  })
})

describe("OperatorAccess", () => {
  it("is the same for everyone where it is open or off", () => {
    const stranger = asking({ "x-forwarded-for": "192.0.2.1" }, { address: "192.0.2.2" })
    assert.strictEqual(access.decide(stranger, "open"), "granted")
    assert.strictEqual(access.decide(asking(), "off"), "hidden")
  })
})
