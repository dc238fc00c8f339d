/**
 * Goal: a request without a valid token is rejected, on every route that needs
 * an account and on every kind of socket. Method: each forgery, on each such
 * route of the contract and in each handshake, on the built server; the rows
 * are compared before and after.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { routes, type RouteTerms } from "../../src/contract/Contract.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as ForgedToken from "./ForgedToken.ts"
import * as AccountFixture from "./AccountFixture.ts"
import * as Snapshot from "./Snapshot.ts"

const environment = { ...AccountFixture.environment, HAPPIER_RATE_LIMIT_BAD_TOKENS: "0", HAPPIER_RATE_LIMIT_AUTH: "0" }

const guarded = Object.entries<RouteTerms>(routes).flatMap(([route, terms]) => (terms.for === "account" ? [route] : []))

const ask = (url: string, route: string, id: string, token: string) => {
  const [method = "", path = ""] = route.split(" ")
  return Effect.orDie(
    Device.request(`${url}${path.replace(":id", id)}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(method === "GET" ? {} : { body: "{}" })
    })
  )
}

const handshakes = ({ machineId, sid }: AccountFixture.AccountFixture) => [
  { clientType: "user-scoped" },
  { clientType: "session-scoped", sessionId: sid },
  { clientType: "machine-scoped", machineId }
]

const assertOpensNothing = (url: string, home: AccountFixture.AccountFixture, name: string, token: string) =>
  Effect.gen(function* () {
    for (const route of guarded) {
      const { body, status } = yield* ask(url, route, route.includes("machines") ? home.machineId : home.sid, token)
      assert.deepStrictEqual({ status, body }, { status: 401, body: { error: "Invalid token" } }, `${name}: ${route}`)
    }
    for (const handshake of handshakes(home)) {
      const line = yield* Device.dial(url, { token, ...handshake })
      const { payload } = yield* line.until(({ event }) => event === "error")
      assert.deepStrictEqual(payload, { message: "Invalid authentication token" }, name)
      yield* line.until(({ event, payload }) => event === "disconnect" && payload === "io server disconnect")
    }
  }).pipe(Effect.scoped)

layer(BuiltServer.layer(environment), { excludeTestServices: true, timeout: "60 seconds" })("a token", (it) => {
  it.scoped(
    "that is wrong in one point opens no route and no socket, and writes nothing",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const home = yield* AccountFixture.make(server.url)
        const { token: other } = yield* Device.login(server.url, Client.make())
        const key = ForgedToken.signingKey(server)
        const { accountId } = home
        yield* AccountFixture.flushed(server, home)
        const before = Snapshot.take(server)
        // The forgeries differ from these, which open everything, in one point each.
        const good = {
          "made by the test": yield* Effect.promise(() => ForgedToken.make(key, accountId)),
          ...(yield* Effect.promise(() => ForgedToken.tolerated(key, accountId)))
        }
        for (const [name, token] of Object.entries(good)) {
          assert.strictEqual((yield* ask(server.url, "GET /v1/machines", "", token)).status, 200, name)
        }
        const forged = yield* Effect.promise(() => ForgedToken.all(key, { accountId, token: home.device.token, other }))
        for (const [name, token] of Object.entries(forged)) yield* assertOpensNothing(server.url, home, name, token)
        assert.deepStrictEqual(Snapshot.take(server), before)
      }),
    120_000
  )

  it.scoped(
    "that was revoked opens nothing either, nor does a good one that came before it",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const home = yield* AccountFixture.make(server.url)
        const early = yield* Effect.promise(() => ForgedToken.make(ForgedToken.signingKey(server), home.accountId))
        assert.strictEqual((yield* ask(server.url, "GET /v1/machines", "", early)).status, 200)
        yield* AccountFixture.flushed(server, home)
        assert.strictEqual((yield* ask(server.url, "POST /v1/auth/revoke", "", home.device.token)).status, 200)
        yield* Effect.forEach(Object.values(home.lines), (line) => line.until(({ event }) => event === "disconnect"))
        const before = Snapshot.take(server)
        yield* assertOpensNothing(server.url, home, "revoked", home.device.token)
        yield* assertOpensNothing(server.url, home, "without an epoch", early)
        assert.deepStrictEqual(Snapshot.take(server), before)
        const again = yield* Device.login(server.url, home.keys)
        assert.strictEqual((yield* ask(server.url, "GET /v1/machines", "", again.token)).status, 200)
      }),
    30_000
  )

  it.scoped("of one account is worth nothing in the header of another scheme, in the query or in a cookie", () =>
    Effect.gen(function* () {
      const { url } = yield* BuiltServer.BuiltServer
      const { token } = yield* Device.login(url, Client.make())
      for (const headers of [
        { authorization: `Basic ${token}` },
        { authorization: token },
        { cookie: `token=${token}` },
        { "x-authorization": `Bearer ${token}` }
      ] as ReadonlyArray<Record<string, string>>) {
        const answer = yield* Effect.orDie(Device.request(`${url}/v1/machines?token=${token}`, { headers }))
        assert.deepStrictEqual(
          [answer.status, answer.body],
          [401, { error: "Missing authorization header" }],
          Object.keys(headers).join()
        )
      }
    })
  )
})
