/**
 * Goal: replicas meet on a Redis that takes encrypted connections only, as a user with the rights of `docs/replicas.md`
 * and no others.
 * Method: a Redis of the test alone with a certificate of an authority made here. Skipped without `openssl`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as OwnRedis from "../../src/drivers/OwnRedis.ts"
import * as Replicas from "../../src/drivers/Replicas.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as Fleet from "./Fleet.ts"

const postgresUrl = inject("postgresUrl")

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0

const isPossible = postgresUrl !== undefined && hasOpenssl && OwnRedis.isInstalled()

const page = fs.readFileSync(fileURLToPath(new URL("../../../../docs/replicas.md", import.meta.url)), "utf8")

/** The rights that the page names. */
const rights = (/A user of Redis needs `([^`]+)`/.exec(page)?.[1] ?? "").split(" ")

const userName = "replica"
const password = "geheim"

/** An authority, and a certificate of it for the loopback interface. */
const certificates = Effect.map(TemporaryDirectory.make, (directory) => {
  const openssl = (...args: ReadonlyArray<string>) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" })
  const key = (name: string) => ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name]
  openssl("req", "-x509", ...key("authority.key"), "-out", "authority.pem", "-days", "2", "-subj", "/CN=authority")
  openssl("req", ...key("redis.key"), "-out", "redis.csr", "-subj", "/CN=redis")
  fs.writeFileSync(path.join(directory, "names"), "subjectAltName=IP:127.0.0.1")
  const signed = [
    "-CA",
    "authority.pem",
    "-CAkey",
    "authority.key",
    "-CAcreateserial",
    "-extfile",
    "names",
    "-days",
    "2"
  ]
  openssl("x509", "-req", "-in", "redis.csr", "-out", "redis.pem", ...signed)
  const at = (name: string) => path.join(directory, name)
  return { authority: at("authority.pem"), certificate: at("redis.pem"), key: at("redis.key") }
})

/** A Redis with one user, and its address. */
const stand = (granted: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { authority, certificate, key } = yield* certificates
    const redis = yield* OwnRedis.make({
      tls: { certificate, key },
      arguments: [
        ["--user", "default", "off"],
        ["--user", userName, "on", `>${password}`, "~light-server:*", "&light-server:*", ...granted]
      ].flat()
    })
    const url = (secret: string) => `rediss://${userName}:${secret}@127.0.0.1:${redis.port}/3`
    return { url, trust: { NODE_EXTRA_CA_CERTS: authority } }
  })

/** A server that must not start. */
const refused = (environment: Readonly<Record<string, string>>): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const database = {
      environment: { DATABASE_URL: postgresUrl ?? "" },
      query: () => Effect.succeed([]),
      lock: Effect.void
    }
    const server = yield* BuiltServer.make({ HANDY_MASTER_SECRET: "a secret of a test", ...environment }, { database })
    yield* server.launch
    const { code } = yield* server.ended
    assert.notInclude(server.output(), password)
    return `${code} ${server.output()}`
  })

describe.skipIf(!isPossible)("replicas over a Redis with TLS and a user of its own", () => {
  it.scopedLive(
    "meet with the documented rights",
    () =>
      Effect.gen(function* () {
        const { trust, url } = yield* stand(rights)
        const { servers } = yield* Replicas.start({
          count: 2,
          postgresUrl: postgresUrl ?? "",
          redisUrl: url(password),
          environment: trust
        })
        const [one, other] = servers as [BuiltServer.Server, BuiltServer.Server]
        const account = Client.make()
        const app = yield* (yield* Fleet.login(other.url, account)).connect({ clientType: "user-scoped" })
        const daemon = yield* Fleet.login(one.url, account)
        const { line, sid } = yield* Fleet.openBeating(daemon, "tag")
        yield* Fleet.soon("a session is shown at the other server", app.until(Fleet.isActivity(sid, true)))
        yield* Fleet.soon("an update", app.until(Fleet.isUpdate("new-session")))
        line.socket.on("rpc-request", (_: unknown, answer: (result: string) => void) => answer("heard"))
        line.socket.emit("rpc-register", { method: `${sid}:echo` })
        yield* Fleet.soon(
          "registration of a method",
          line.until(({ event }) => event === "rpc-registered")
        )
        const answer = yield* Fleet.soon("a call", app.ask("rpc-call", { method: `${sid}:echo`, params: "this" }))
        assert.deepInclude(answer, { ok: true, result: "heard" })
      }),
    180_000
  )

  it.scopedLive(
    "do not start without trust in the certificate, with a wrong password, or without a right, and say so",
    () =>
      Effect.gen(function* () {
        const { trust, url } = yield* stand(rights.filter((right) => right !== "+@pubsub"))
        assert.match(yield* refused({ REDIS_URL: url(password) }), /^75 [^]*REDIS_URL[^]*certificate/)
        assert.match(yield* refused({ REDIS_URL: url("wrong"), ...trust }), /^3 [^]*WRONGPASS/)
        assert.match(yield* refused({ REDIS_URL: url(password), ...trust }), /^3 [^]*NOPERM/)
      }),
    180_000
  )
})
