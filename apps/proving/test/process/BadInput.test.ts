/**
 * Goal: no input of a client makes the server fail, write, or mix up the owners
 * of rows. Method: two accounts on the built server; one of them, and clients
 * without an account, send invalid input. The database is compared row by row
 * before and after.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { SignJWT } from "jose"
import { createPrivateKey, generateKeyPairSync, hkdfSync, randomUUID } from "node:crypto"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"

const bodyLimitBytes = 4096

const environment = {
  HAPPIER_BODY_LIMIT_BYTES: String(bodyLimitBytes),
  HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "200",
  HAPPIER_PRESENCE_PERSIST_THRESHOLD_MS: "0"
}

/** Every row of every table of users. */
const snapshot = (server: BuiltServer.Server) =>
  server
    .rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    .map(({ name }) => String(name))
    .filter((name) => name !== "ServerHeartbeat")
    .map((name) => ({ name, rows: server.rows(`SELECT * FROM "${name}" ORDER BY 1`) }))

/** Two accounts, each with a machine, a session, and an app that listens. */
const people = Effect.gen(function* () {
  const { url } = yield* BuiltServer.BuiltServer
  return yield* Effect.forEach(["alice", "bob"], (name) =>
    Effect.gen(function* () {
      const keys = Client.make()
      const device = yield* Device.login(url, keys)
      const { body } = yield* Effect.orDie(AckLog.make().register(device))
      const sessionId = yield* Device.openSession(device, name)
      const app = yield* device.connect({ clientType: "user-scoped" })
      return { keys, device, app, sessionId, machineId: String(body["machine"].id) }
    })
  )
}).pipe(Effect.map((all) => ({ alice: all[0]!, bob: all[1]! })))

/** When presence has flushed what came before: a good heartbeat of a session made for it is in the file. */
const flushed = (server: BuiltServer.Server, device: Device.Device, app: Device.Line) =>
  Effect.gen(function* () {
    const id = yield* Device.openSession(device, `witness ${randomUUID()}`)
    const witness = Device.pulse(app, "session", id)
    witness.beat()
    yield* Eventually.until(
      Effect.sync(() => Number(server.rows("SELECT lastActiveAt FROM Session WHERE id = ?", id)[0]?.["lastActiveAt"])),
      (stored) => stored >= Math.max(...witness.said)
    )
    return id
  })

/** Nothing but the witness and the cursor that it took may be different. */
const assertUnchanged = (server: BuiltServer.Server, before: ReturnType<typeof snapshot>, witness: string) => {
  const without = (tables: ReturnType<typeof snapshot>) =>
    tables.map(({ name, rows }) => ({
      name,
      rows: rows
        .filter((row) => row["id"] !== witness && row["entityId"] !== witness)
        .map((row) => (name === "Account" ? { ...row, seq: 0, updatedAt: 0 } : row))
    }))
  assert.deepStrictEqual(without(snapshot(server)), without(before))
}

const isAlive = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    assert.strictEqual((yield* Device.request(`${server.url}/livez`)).status, 200)
    assert.strictEqual((yield* Device.request(`${server.url}/readyz`)).status, 200)
    assert.notInclude(server.output(), "DEFECT")
  })

const claims = (subject: string) =>
  new SignJWT().setSubject(subject).setIssuer("happier-light").setAudience("happier-client")

const header = { alg: "EdDSA", typ: "JWT" }

const dayMillis = 24 * 3600 * 1000

/** The key that the server signs with, as it derives it from the secret in its directory. */
const serverKey = (server: BuiltServer.Server) => {
  const secret = fs.readFileSync(path.join(server.directory, "handy-master-secret.txt"), "utf8").trim()
  const seed = Buffer.from(hkdfSync("sha256", secret, "", "light-server token signing key v1", 32))
  const prefix = Buffer.from("302e020100300506032b657004220420", "hex")
  return createPrivateKey({ key: Buffer.concat([prefix, seed]), format: "der", type: "pkcs8" })
}

const badTokens = (server: BuiltServer.Server, accountId: string, token: string) =>
  Effect.promise(async () => {
    const key = serverKey(server)
    const sign = (jwt: SignJWT, with_ = key) => jwt.setProtectedHeader(header).sign(with_)
    const good = () => claims(accountId).setIssuedAt()
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const payload = token.split(".")[1] ?? ""
    return {
      genuine: await sign(good()),
      bad: {
        "of another server": await sign(good(), generateKeyPairSync("ed25519").privateKey),
        expired: await sign(good().setExpirationTime(new Date(Date.now() - 3 * dayMillis))),
        "not valid yet": await sign(good().setNotBefore(new Date(Date.now() + 3 * dayMillis))),
        "of another issuer": await sign(good().setIssuer("somebody")),
        "for another audience": await sign(good().setAudience("somebody")),
        "of an account that does not exist": await sign(claims("cnobody").setIssuedAt()),
        "without a subject": await sign(
          new SignJWT().setIssuer("happier-light").setAudience("happier-client").setIssuedAt()
        ),
        "with alg none": `${part({ alg: "none", typ: "JWT" })}.${payload}.`,
        "with HMAC by the public text": await good()
          .setProtectedHeader({ alg: "HS256", typ: "JWT" })
          .sign(Buffer.from("happier-light happier-light happier-light")),
        "with a changed subject": token.replace(
          payload,
          part({ ...JSON.parse(Buffer.from(payload, "base64url").toString()), sub: "c1" })
        ),
        "without its signature": token.slice(0, token.lastIndexOf(".") + 1),
        "that is too long": `${token}${"a".repeat(2500)}`,
        "that is malformed": "x"
      }
    }
  })

layer(BuiltServer.layer(environment), { excludeTestServices: true, timeout: "60 seconds" })("bad input", (it) => {
  it.scoped(
    "over HTTP is refused as the protocol requires, and writes nothing",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const { alice, bob } = yield* people
        const authorization = `Bearer ${alice.device.token}`
        const before = snapshot(server)
        const json = { "content-type": "application/json" }
        const send = (route: string, body: string | undefined, headers: Record<string, string> = json) => {
          const [method = "", target = ""] = route.split(" ")
          return Effect.orDie(
            Device.request(server.url + target, {
              method,
              headers: { authorization, ...headers },
              ...(body === undefined ? {} : { body })
            })
          )
        }
        const machine = (fields: object) => JSON.stringify({ id: randomUUID(), metadata: "m", ...fields })
        const challenge = Client.make().challenge()
        const cases: ReadonlyArray<readonly [string, string | undefined, number, string]> = [
          ["POST /v1/machines", "{", 400, "SyntaxError"],
          ["POST /v1/machines", "", 400, "Error"],
          ["POST /v1/machines", "null", 400, "Error"],
          ["POST /v1/machines", "[]", 400, "Error"],
          ["POST /v1/machines", `"text"`, 400, "Error"],
          ["POST /v1/machines", `{"__proto__":{"id":"x"},"id":"x","metadata":"m"}`, 400, "SyntaxError"],
          ["POST /v1/machines", machine({ id: 7 }), 400, "Error"],
          ["POST /v1/machines", machine({ id: "" }), 400, "Error"],
          ["POST /v1/machines", machine({ id: "i".repeat(129) }), 400, "Error"],
          ["POST /v1/machines", machine({ metadata: { a: 1 } }), 400, "Error"],
          ["POST /v1/machines", machine({ daemonState: 1 }), 400, "Error"],
          ["POST /v1/machines", machine({ dataEncryptionKey: "§" }), 400, "Error"],
          ["POST /v1/machines", machine({ metadata: "m".repeat(bodyLimitBytes) }), 413, "Error"],
          ["POST /v1/machines", machine({ id: bob.machineId }), 409, "machine_id_conflict"],
          [`GET /v1/machines/${bob.machineId}`, undefined, 404, "Machine not found"],
          ["GET /v1/machines/%00", undefined, 404, "Machine not found"],
          ["GET /v1/machines/%E0%A4%A", undefined, 400, "Error"],
          ["POST /v1/sessions", JSON.stringify({ tag: "", metadata: "m" }), 400, "Error"],
          ["POST /v1/sessions", JSON.stringify({ tag: [], metadata: "m" }), 400, "Error"],
          ["POST /v1/sessions", JSON.stringify({ tag: "t" }), 400, "Error"],
          [`GET /v2/sessions/${bob.sessionId}`, undefined, 404, "Session not found"],
          ["GET /v2/sessions?cursor=%27;--", undefined, 400, "Invalid cursor format"],
          ["GET /v2/sessions?limit=0", undefined, 400, "Error"],
          ["GET /v2/sessions?limit=NaN", undefined, 400, "Error"],
          ["GET /v2/sessions?limit=1e9", undefined, 400, "Error"],
          ["GET /v2/sessions/active?limit=-1", undefined, 400, "Error"],
          ["POST /v2/usage-reports", "{}", 400, "Invalid parameters"],
          ["GET /v1/nothing", undefined, 404, "Not found"],
          ["DELETE /v1/machines", undefined, 404, "Not found"],
          ["POST /v1/auth", JSON.stringify({ ...challenge, publicKey: "AAAA" }), 401, "Invalid public key"],
          ["POST /v1/auth", JSON.stringify({ ...challenge, signature: "AAAA" }), 401, "Invalid signature"],
          ["POST /v1/auth", JSON.stringify({ ...challenge, challenge: "AAAA" }), 401, "Invalid signature"],
          ["POST /v1/auth", JSON.stringify({ ...challenge, signature: null }), 400, "Error"],
          ["POST /v1/auth", JSON.stringify({ ...challenge, challenge: "A".repeat(2000) }), 400, "Error"]
        ]
        for (const [route, body, status, error] of cases) {
          const answer = yield* send(route, body, body === undefined ? {} : json)
          const where = `${route} ${body?.slice(0, 80) ?? ""} -> ${answer.text.slice(0, 200)}`
          assert.strictEqual(answer.status, status, where)
          assert.strictEqual(answer.body["error"], error, where)
        }
        const report = { key: "k", sessionId: bob.sessionId, tokens: { total: 1 }, cost: { total: 1 } }
        assert.strictEqual((yield* send("POST /v2/usage-reports", JSON.stringify(report))).status, 404)
        assert.strictEqual((yield* send("POST /v1/machines", "id=1", { "content-type": "text/csv" })).status, 415)

        const accountId = String(
          server.rows("SELECT accountId FROM Machine WHERE id = ?", alice.machineId)[0]?.["accountId"]
        )
        const { bad, genuine } = yield* badTokens(server, accountId, alice.device.token)
        const list = (headers: Record<string, string>) =>
          Effect.orDie(Device.request(`${server.url}/v1/machines`, { headers }))
        // The bad ones differ from a good one in what they are named after, and in nothing else.
        assert.strictEqual((yield* list({ authorization: `Bearer ${genuine}` })).status, 200)
        for (const [name, token] of Object.entries(bad)) {
          const { body, status } = yield* list({ authorization: `Bearer ${token}` })
          assert.strictEqual(status, 401, `a token ${name}`)
          assert.strictEqual(body["error"], "Invalid token", `a token ${name}`)
          const line = yield* Device.dial(server.url, { token, clientType: "user-scoped" })
          const refusal = yield* line.until(({ event }) => event === "error")
          assert.deepStrictEqual(refusal.payload, { message: "Invalid authentication token" }, `a token ${name}`)
          line.socket.disconnect()
        }
        for (const headers of [{}, { authorization: "Basic x" }, { authorization: "Bearer " }] as const) {
          const { body, status } = yield* list(headers as Record<string, string>)
          assert.strictEqual(status, 401)
          assert.strictEqual(body["error"], "Missing authorization header")
        }

        assertUnchanged(server, before, yield* flushed(server, alice.device, alice.app))
        yield* isAlive(server)
      }),
    30_000
  )

  it.scoped(
    "in a handshake is refused for good, with the texts that clients recognize",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const { alice, bob } = yield* people
        const { token } = alice.device
        const before = snapshot(server)
        const refusals: ReadonlyArray<readonly [Device.Handshake, string]> = [
          [{}, "Missing authentication token"],
          [{ token: 7 }, "Missing authentication token"],
          [{ token: { toString: "x" } }, "Missing authentication token"],
          [{ token: "x" }, "Invalid authentication token"],
          [{ token, clientType: "session-scoped" }, "Session ID required for session-scoped clients"],
          [{ token, clientType: "session-scoped", sessionId: 7 }, "Session ID required for session-scoped clients"],
          [{ token, clientType: "machine-scoped" }, "Machine ID required for machine-scoped clients"],
          [{ token, clientType: "machine-scoped", machineId: [] }, "Machine ID required for machine-scoped clients"],
          [{ token, clientType: "session-scoped", sessionId: "nobody" }, "Invalid authentication token"],
          [{ token, clientType: "session-scoped", sessionId: bob.sessionId }, "Invalid authentication token"],
          [{ token, clientType: "machine-scoped", machineId: bob.machineId }, "Invalid authentication token"],
          [{ token, clientType: "machine-scoped", machineId: "m".repeat(500) }, "Invalid authentication token"]
        ]
        for (const [auth, message] of refusals) {
          const line = yield* Device.dial(server.url, auth)
          const refusal = yield* line.until(({ event }) => event === "error")
          assert.deepStrictEqual(refusal.payload, { message }, JSON.stringify(auth))
          const end = yield* line.until(({ event }) => event === "disconnect")
          assert.strictEqual(end.payload, "io server disconnect", JSON.stringify(auth))
        }
        // Sent twice at once, it is not an error.
        const [one, two] = yield* Effect.all(
          [1, 2].map(() => alice.device.connect({ clientType: "user-scoped" })),
          { concurrency: "unbounded" }
        )
        yield* one!.settled
        yield* two!.settled
        assertUnchanged(server, before, yield* flushed(server, alice.device, alice.app))
        yield* isAlive(server)
      }),
    30_000
  )

  it.scoped(
    "over a socket is answered as the protocol requires, announces nothing and writes nothing",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.BuiltServer
        const { alice, bob } = yield* people
        const before = snapshot(server)
        const heardByBob = bob.app.heard.length
        const heardByAlice = alice.app.heard.length
        const { machineId, sessionId } = alice
        const invalid = { result: "error", message: "Invalid parameters" }
        const notFound = { result: "error", message: "Machine not found" }
        const update = { machineId, metadata: "n", expectedVersion: 1 }
        const noTotal = (what: string) => ({
          success: false,
          error: `Invalid ${what} object - must include total`
        })
        const good = { key: "k", tokens: { total: 1 }, cost: { total: 1 } }
        const answered: ReadonlyArray<readonly [string, unknown, unknown]> = [
          ["machine-update-metadata", undefined, invalid],
          ["machine-update-metadata", { ...update, expectedVersion: "1" }, invalid],
          ["machine-update-metadata", { ...update, expectedVersion: -1 }, invalid],
          ["machine-update-metadata", { ...update, expectedVersion: 1.5 }, invalid],
          ["machine-update-metadata", { ...update, metadata: {} }, invalid],
          ["machine-update-metadata", { ...update, machineId: bob.machineId }, notFound],
          ["machine-update-metadata", { ...update, machineId: "nobody" }, notFound],
          [
            "machine-update-metadata",
            { ...update, expectedVersion: 9 },
            { result: "version-mismatch", version: 1, metadata: `metadata of ${machineId}` }
          ],
          ["machine-update-state", { machineId: bob.machineId, daemonState: "s", expectedVersion: 0 }, notFound],
          ["machine-update-state", { machineId, daemonState: null, expectedVersion: 0 }, invalid],
          ["update-metadata", { sid: bob.sessionId, metadata: "n", expectedVersion: 0 }, { result: "forbidden" }],
          ["update-metadata", { sid: "nobody", metadata: "n", expectedVersion: 0 }, { result: "forbidden" }],
          ["update-metadata", { sid: sessionId, metadata: 1, expectedVersion: 0 }, { result: "error" }],
          ["update-state", { sid: bob.sessionId, agentState: null, expectedVersion: 0 }, { result: "forbidden" }],
          ["update-state", [], { result: "error" }],
          ["usage-report", undefined, { success: false, error: "Invalid key" }],
          ["usage-report", { ...good, key: "" }, { success: false, error: "Invalid key" }],
          ["usage-report", { ...good, tokens: { a: 1 } }, noTotal("tokens")],
          ["usage-report", { ...good, cost: { total: "1" } }, noTotal("cost")],
          ["usage-report", { ...good, tokens: { total: Number.NaN } }, noTotal("tokens")],
          ["usage-report", { ...good, sessionId: 7 }, { success: false, error: "Invalid sessionId" }],
          ["usage-report", { ...good, sessionId: bob.sessionId }, { success: false, error: "Session not found" }]
        ]
        for (const [event, payload, expected] of answered) {
          const answer = yield* alice.app.ask(event, payload)
          assert.deepStrictEqual(answer, expected, `${event} ${JSON.stringify(payload)}`)
        }

        const now = Date.now()
        const silent: ReadonlyArray<readonly [string, ...Array<unknown>]> = [
          ["session-alive"],
          ["session-alive", null],
          ["session-alive", "text", 7, {}],
          ["session-alive", { sid: sessionId }],
          ["session-alive", { sid: sessionId, time: String(now) }],
          ["session-alive", { sid: sessionId, time: Number.NaN }],
          ["session-alive", { sid: sessionId, time: Number.POSITIVE_INFINITY }],
          ["session-alive", { sid: sessionId, time: -1 }],
          ["session-alive", { sid: sessionId, time: 0 }],
          ["session-alive", { sid: sessionId, time: now - dayMillis }],
          ["session-alive", { sid: { $ne: 1 }, time: now }],
          ["session-alive", { sid: bob.sessionId, time: now }],
          ["session-alive", { sid: "nobody", time: now }],
          ["session-alive", { sid: machineId, time: now }],
          ["machine-alive", { machineId: bob.machineId, time: now }],
          ["machine-alive", { machineId, time: -1 }],
          ["machine-alive", { machineId: "m".repeat(1000), time: now }],
          ["session-end", { sid: bob.sessionId, time: now }],
          ["session-end", { sid: "nobody", time: now }],
          ["session-end", { sid: sessionId, time: Number.NaN }],
          ["session-end", { sid: sessionId, time: -1 }],
          ["session-end", {}],
          ["no-such-event", { sid: sessionId }],
          ["__proto__", {}],
          ["constructor", {}],
          ["toString"],
          ["message"],
          ["error", { message: "x" }],
          ["rpc-call", 7],
          ["ping"],
          ["session-alive", Buffer.from("bytes")]
        ]
        for (const [event, ...args] of silent) alice.app.socket.emit(event, ...args)
        yield* alice.app.settled

        alice.app.socket.emit("rpc-register", null)
        yield* alice.app.until(({ event }) => event === "rpc-error", heardByAlice)

        // Packets that no client library would send. Each ends its own transport, at most.
        const raw = [
          "",
          "garbage",
          "0{",
          `0{"token":"x"}`,
          "2[",
          `2["disconnect"]`,
          `51-["x",{"_placeholder":true,"num":0}]`,
          "9",
          `2["x",${"[".repeat(5000)}`
        ]
        for (const packet of raw) {
          const line = yield* alice.device.connect({ clientType: "user-scoped" })
          line.socket.io.engine.write(packet)
          line.socket.emit("ping", () => {})
          yield* Effect.raceFirst(
            line.settled,
            line.until(({ event }) => event === "disconnect")
          )
          line.socket.disconnect()
        }
        const large = yield* alice.device.connect({ clientType: "user-scoped" })
        large.socket.emit("session-alive", { sid: sessionId, time: now, rest: "x".repeat(9_000_000) })
        const end = yield* large.until(({ event }) => event === "disconnect")
        // Not for good: it comes back.
        assert.strictEqual(end.payload, "transport close")
        yield* large.until(({ event }) => event === "connect", large.heard.indexOf(end))

        yield* bob.app.settled
        assert.deepStrictEqual(bob.app.heard.slice(heardByBob), [])
        const heard = alice.app.heard.slice(heardByAlice).map(({ event }) => event)
        assert.deepStrictEqual(heard, ["rpc-error"])
        assertUnchanged(server, before, yield* flushed(server, alice.device, alice.app))

        // A clock that runs ahead keeps a row online, but not longer than others.
        alice.app.socket.emit("session-alive", { sid: sessionId, time: Date.now() + dayMillis })
        const { payload } = yield* alice.app.until(
          ({ event, payload }) => event === "ephemeral" && payload.id === sessionId
        )
        assert.isAtMost(payload.activeAt, Date.now())
        yield* flushed(server, alice.device, alice.app)
        const stored = server.rows("SELECT lastActiveAt FROM Session WHERE id = ?", sessionId)[0]
        assert.isAtMost(Number(stored?.["lastActiveAt"]), Date.now())
        yield* isAlive(server)
      }),
    30_000
  )
})
