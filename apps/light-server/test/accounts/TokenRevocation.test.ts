/**
 * Access with a token, and the revocation of all tokens of an account: over
 * HTTP, over sockets that connect, and over connected sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, TestClock } from "effect"
import { SignJWT, UnsecuredJWT } from "jose"
import { generateKeyPairSync, hkdfSync, randomBytes } from "node:crypto"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy } from "presence-effect/writer/WriterError"
import * as Ed25519 from "../../src/accounts/Ed25519.ts"
import { revokeTokens, TokenRevocation } from "../../src/accounts/TokenRevocation.ts"
import * as Login from "../../src/accounts/Login.ts"
import * as Tokens from "../../src/accounts/Tokens.ts"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import { Authenticator } from "../../src/door/Authenticator.ts"
import { forgetCounts, get, layer, login, masterSecret, post } from "../support/AccountServer.ts"
import * as Database from "../support/TestDatabase.ts"
import { TestServer } from "../support/TestServer.ts"

const revoke = (token: string) => post("/v1/auth/revoke", {}, token)

const statusWith = (token: string) => Effect.map(get("/v1/account/profile", token), ({ statusCode }) => statusCode)

/** The key that the server derives, for tokens that are wrong in one point only. */
const signingKey = Ed25519.privateKeyOf(
  new Uint8Array(hkdfSync("sha256", masterSecret, "", "light-server token signing key v1", 32))
)

const claims = <T extends SignJWT | UnsecuredJWT>(token: T, accountId: string): T => {
  token.setSubject(accountId).setIssuer("happier-light").setAudience("happier-client").setIssuedAt(0)
  return token
}

const signed = (
  accountId: string,
  change: (token: SignJWT) => SignJWT = (token) => token,
  alg = "EdDSA",
  key: Parameters<SignJWT["sign"]>[0] = signingKey,
  payload: Record<string, unknown> = {}
) =>
  Effect.promise(() =>
    change(claims(new SignJWT(payload), accountId).setProtectedHeader({ alg, typ: "JWT" })).sign(key)
  )

describe("a token", () => {
  const wrong: Record<string, (accountId: string, token: string) => Effect.Effect<string>> = {
    "that is expired": (id) => signed(id, (token) => token.setExpirationTime(-2 * 86_400)),
    "of another service": (id) => signed(id, (token) => token.setIssuer("handy")),
    "for another audience": (id) => signed(id, (token) => token.setAudience("others")),
    "that is not signed": (id) => Effect.sync(() => claims(new UnsecuredJWT(), id).encode()),
    "signed with the secret itself": (id) =>
      signed(id, undefined, "HS256", new TextEncoder().encode(masterSecret.repeat(2))),
    "signed with the public key as a secret": (id) =>
      Effect.suspend(() => {
        const { publicKey } = generateKeyPairSync("ed25519")
        return signed(id, undefined, "HS256", publicKey.export({ format: "der", type: "spki" }))
      }),
    "signed with another key": (id) => signed(id, undefined, "EdDSA", generateKeyPairSync("ed25519").privateKey),
    "that is truncated": (_, token) => Effect.succeed(token.slice(0, -5)),
    "with a changed payload": (_, token) => {
      const [head = "", , signature = ""] = token.split(".")
      const payload = Buffer.from(`{"sub":"somebody"}`).toString("base64url")
      return Effect.succeed(`${head}.${payload}.${signature}`)
    },
    "with an epoch that is no number": (id) => signed(id, undefined, "EdDSA", signingKey, { epoch: "9999999999" }),
    "that is garbage": () => Effect.sync(() => randomBytes(60).toString("base64url")),
    "of no account": () => signed("cnobody"),
    "without an account": () => signed("")
  }

  for (const [name, make] of Object.entries(wrong)) {
    it.scoped(`${name} opens no route and no socket, and writes nothing`, () =>
      Effect.gen(function* () {
        const database = yield* Database.TestDatabase
        const server = yield* TestServer
        const { accountId, token } = yield* login()
        const bad = yield* make(accountId, token)
        yield* forgetCounts
        for (const response of [
          yield* get("/v1/account/profile", bad),
          yield* post("/v1/machines", { id: "m1", metadata: "sealed" }, bad),
          yield* post("/v1/account/settings", { settings: "x", expectedVersion: 0 }, bad),
          yield* revoke(bad)
        ]) {
          assert.strictEqual(response.statusCode, 401)
          assert.deepStrictEqual(response.json(), { error: "Invalid token" })
        }
        const client = yield* server.client({ token: bad })
        client.socket.connect()
        assert.deepStrictEqual(yield* client.next("error"), { message: "Invalid authentication token" })
        assert.strictEqual(yield* client.next("disconnect"), "io server disconnect")
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layer()))
    )
  }

  it.scoped("gives access to its account only: other rows are answered as missing, and nothing is written", () =>
    Effect.gen(function* () {
      const database = yield* Database.TestDatabase
      const [ada, eve] = [yield* login(), yield* login()]
      yield* post("/v1/machines", { id: "m1", metadata: "sealed" }, ada.token)
      yield* forgetCounts
      const foreign = yield* get("/v1/machines/m1", eve.token)
      assert.deepStrictEqual([foreign.statusCode, foreign.json()], [404, { error: "Machine not found" }])
      assert.strictEqual((yield* post("/v1/machines", { id: "m1", metadata: "mine" }, eve.token)).statusCode, 409)
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layer()))
  )
})

describe("POST /v1/auth/revoke", () => {
  it.scoped("ends every token of the account at once, and no other", () =>
    Effect.gen(function* () {
      const database = yield* Database.TestDatabase
      const ada = yield* login()
      const again = yield* login(ada.client)
      const bob = yield* login()
      for (const { token } of [ada, again, bob]) assert.strictEqual(yield* statusWith(token), 200)
      yield* forgetCounts
      const response = yield* revoke(ada.token)
      assert.deepStrictEqual([response.statusCode, response.json()], [200, { success: true }])
      assert.deepStrictEqual(database.writes, [Lane.control])
      assert.strictEqual(yield* statusWith(ada.token), 401)
      assert.strictEqual(yield* statusWith(again.token), 401)
      assert.strictEqual(yield* statusWith(bob.token), 200)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("lets the owner of the key log in again, and revoke again", () =>
    Effect.gen(function* () {
      const tokens: Array<string> = []
      const { client } = yield* login()
      for (let round = 0; round < 3; round++) {
        const { token } = yield* login(client)
        assert.strictEqual(yield* statusWith(token), 200)
        for (const old of tokens) assert.strictEqual(yield* statusWith(old), 401)
        tokens.push(token)
        yield* revoke(token)
      }
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("invalidates a recorded login, and a login that began before it", () =>
    Effect.gen(function* () {
      const { client } = yield* login()
      const recorded = client.challenge()
      const first = yield* post("/v1/auth", recorded)
      const { token } = first.json<{ readonly token: string }>()
      assert.strictEqual((yield* post("/v1/auth", recorded)).statusCode, 200)
      yield* revoke(token)
      const again = yield* post("/v1/auth", recorded)
      assert.deepStrictEqual([again.statusCode, again.json()], [401, { error: "Invalid signature" }])

      const proof = yield* Effect.flatMap(Login.Login, ({ prove }) => prove(client.challenge()))
      const { accountId, token: other } = yield* login(client)
      yield* revoke(other)
      const late = yield* Effect.flatMap(Tokens.Tokens, ({ issue }) => issue(accountId, proof.epoch))
      assert.strictEqual(yield* statusWith(late), 401)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("closes connected sockets of the account with the reason, and keeps the others", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const [ada, bob] = [yield* login(), yield* login()]
      yield* post("/v1/machines", { id: "m1", metadata: "sealed" }, ada.token)
      const app = yield* server.connect({ token: ada.token })
      const daemon = yield* server.connect({ token: ada.token, clientType: "machine-scoped", machineId: "m1" })
      const other = yield* server.connect({ token: bob.token })
      yield* revoke(ada.token)
      for (const client of [app, daemon]) {
        assert.deepStrictEqual(yield* client.next("error"), { message: "Invalid authentication token" })
        // The reason after which clients stay away.
        assert.strictEqual(yield* client.next("disconnect"), "io server disconnect")
      }
      yield* other.flush
      assert.isTrue(other.socket.connected)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("refuses a new socket with an old token", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const { token } = yield* login()
      yield* revoke(token)
      const client = yield* server.client({ token })
      client.socket.connect()
      assert.deepStrictEqual(yield* client.next("error"), { message: "Invalid authentication token" })
      assert.strictEqual(yield* client.next("disconnect"), "io server disconnect")
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("changes nothing when it cannot be stored", () =>
    Effect.gen(function* () {
      const database = yield* Database.TestDatabase
      const server = yield* TestServer
      const { token } = yield* login()
      const app = yield* server.connect({ token })
      database.nextWrite = {
        _tag: "Fail",
        error: new DatabaseBusy({ lane: Lane.control, code: "SQLITE_BUSY", attempts: 3 })
      }
      assert.strictEqual((yield* revoke(token)).statusCode, 503)
      assert.strictEqual(yield* statusWith(token), 200)
      yield* app.flush
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("invalidates answers that paired devices have not fetched yet", () =>
    Effect.gen(function* () {
      const { token } = yield* login()
      for (const path of ["/v1/auth", "/v1/auth/account"]) {
        const publicKey = randomBytes(32).toString("base64")
        yield* post(`${path}/request`, { publicKey })
        const { token: current } = yield* login()
        yield* post(`${path}/response`, { publicKey, response: "sealed" }, current)
        yield* revoke(current)
        assert.deepStrictEqual((yield* post(`${path}/request`, { publicKey })).json(), { state: "requested" })
      }
      assert.strictEqual(yield* statusWith(token), 200)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("survives a restart, as tokens do", () =>
    Effect.gen(function* () {
      const kept = yield* Layer.build(Database.layer)
      const run = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provide(body, layer({}, Layer.succeedContext(kept)))
      const [ended, kepts] = yield* run(
        Effect.gen(function* () {
          const [ada, bob] = [yield* login(), yield* login()]
          yield* revoke(ada.token)
          return [ada.token, bob.token] as const
        })
      )
      yield* run(
        Effect.gen(function* () {
          assert.strictEqual(yield* statusWith(ended), 401)
          assert.strictEqual(yield* statusWith(kepts), 200)
        })
      )
    })
  )

  it.scoped("begins an epoch that a restored backup does not issue again", () =>
    Effect.gen(function* () {
      const database = yield* Database.TestDatabase
      const { client, token } = yield* login()
      yield* TestClock.adjust("1 minute")
      yield* revoke(token)
      const later = yield* login(client)
      // The backup is from before the revocation.
      database.sqlite.exec(`DELETE FROM "TokenRevocation"`)
      yield* TestClock.adjust("1 minute")
      yield* revoke(later.token)
      assert.strictEqual(yield* statusWith(later.token), 401)
      assert.strictEqual(yield* statusWith(token), 401)
    }).pipe(Effect.provide(layer()))
  )
})

describe("revokeTokens", () => {
  it.scoped("revokes tokens in another process, which the server notices within seconds", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const { accountId, client, token } = yield* login()
      const app = yield* server.connect({ token })
      yield* revokeTokens(accountId)
      // The answer is remembered; another process wrote.
      assert.strictEqual(yield* statusWith(token), 200)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* statusWith(token), 401)
      assert.strictEqual(yield* app.next("transport"), "transport close")
      // The client comes back by itself, and is refused for good.
      assert.deepStrictEqual(yield* app.next("error"), { message: "Invalid authentication token" })

      const fresh = yield* login(client)
      const again = yield* server.connect({ token: fresh.token })
      yield* TestClock.adjust("1 minute")
      yield* again.flush
      assert.deepStrictEqual(yield* again.rest("disconnect"), [])
    }).pipe(Effect.provide(layer({ revocation: {} })))
  )

  it.scoped("fails when there is no such account", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(revokeTokens("cnobody"))
      assert.strictEqual(failure._tag, "NotFound")
    }).pipe(Effect.provide(layer()))
  )
})

describe("a verification during a revocation", () => {
  /** Verifies, and answers late while it is held. */
  const makeSlow = Effect.gen(function* () {
    const [reached, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
    let isHeld = false
    const tokens = Layer.effect(
      Authenticator,
      Effect.map(Authenticator, ({ verify }) => ({
        verify: (token: string) =>
          Effect.tap(verify(token), () =>
            isHeld ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate)) : Effect.void
          )
      }))
    ).pipe(Layer.provideMerge(Tokens.layer()))
    return {
      tokens,
      hold: () => {
        isHeld = true
      },
      reached: Deferred.await(reached),
      release: Effect.suspend(() => {
        isHeld = false
        return Deferred.succeed(gate, undefined)
      })
    }
  })

  it.scoped("accepts no socket that was verified before it, although its account had no socket to close", () =>
    Effect.gen(function* () {
      const slow = yield* makeSlow
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const { accountId, token } = yield* login()
        const client = yield* server.client({ token })
        slow.hold()
        client.socket.connect()
        yield* slow.reached
        yield* Effect.flatMap(TokenRevocation, (revocation) => revocation.revoke(accountId))
        yield* slow.release
        // It is disconnected, comes back by itself, and is refused for good.
        assert.deepStrictEqual(yield* client.next("error"), { message: "Invalid authentication token" })
        assert.isFalse(client.socket.connected)
      }).pipe(Effect.provide(layer({}, Database.layer, slow.tokens)))
    })
  )

  it.scoped("disconnects no socket of another account", () =>
    Effect.gen(function* () {
      const slow = yield* makeSlow
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const [ada, bob] = [yield* login(), yield* login()]
        const client = yield* server.client({ token: ada.token }, { reconnection: false })
        slow.hold()
        client.socket.connect()
        yield* slow.reached
        yield* Effect.flatMap(TokenRevocation, (revocation) => revocation.revoke(bob.accountId))
        yield* slow.release
        yield* client.next("connect")
        yield* Effect.raceFirst(client.flush, client.next("transport"))
        assert.isTrue(client.socket.connected)
      }).pipe(Effect.provide(layer({}, Database.layer, slow.tokens)))
    })
  )

  it.scoped("is not remembered", () =>
    Effect.gen(function* () {
      const database = yield* Database.TestDatabase
      database.addAccount("ada")
      const reader = yield* DatabaseReader
      const [reached, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      let isHeld = false
      // Reads, and answers late.
      const Slow = Layer.succeed(DatabaseReader, {
        ...reader,
        first: (schema, sql, params) =>
          Effect.tap(reader.first(schema, sql, params), () =>
            isHeld ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(gate)) : Effect.void
          )
      })
      yield* Effect.gen(function* () {
        const tokens = yield* Tokens.Tokens
        const authenticator = yield* Authenticator
        const token = yield* tokens.issue("ada")
        isHeld = true
        const verification = yield* Effect.fork(authenticator.verify(token))
        yield* Deferred.await(reached)
        yield* revokeTokens("ada")
        tokens.forget("ada")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(verification)
        const failure = yield* Effect.flip(authenticator.verify(token))
        assert.strictEqual(failure._tag, "Unauthorized")
      }).pipe(Effect.provide(Layer.fresh(Tokens.layer()).pipe(Layer.provide(Slow))))
    }).pipe(Effect.provide(layer()))
  )
})
