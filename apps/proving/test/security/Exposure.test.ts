/**
 * Goal: the defaults expose nothing: files are readable for their owner only,
 * the port is open for this machine only, and no other origin is allowed.
 * Method: the built server under the usual umask, without any settings.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as MigrationFolder from "light-server/src/migration/MigrationFolder"
import * as PrismaMigrator from "light-server/src/migration/PrismaMigrator"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import { addAccount } from "../../src/drivers/Rows.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

/** The mode that an ordinary shell gives to new files: readable for all users. */
const ordinaryShell = ["/bin/sh", "-c", `umask 022; exec "$@"`, "sh"]

const modes = (directory: string) =>
  fs.readdirSync(directory).map((name) => ({ name, mode: fs.statSync(path.join(directory, name)).mode & 0o777 }))

const octal = (mode: number) => mode.toString(8).padStart(4, "0")

const isRefused = (host: string, port: number) =>
  Effect.async<boolean>((resume) => {
    const socket = net.connect({ host, port })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(false))
    })
    socket.once("error", () => resume(Effect.succeed(true)))
  })

const origin = "https://app.example"

const corsHeaders = ({ headers }: Device.Answer) =>
  [...headers.keys()].filter((name) => name.startsWith("access-control-"))

const get = (url: string, headers: Record<string, string>, method = "GET") =>
  Effect.orDie(Device.request(url, { method, headers }))

const login = (url: string, headers: Record<string, string>) =>
  Effect.map(Effect.orDie(Device.post(`${url}/v1/auth`, Client.make().challenge(), headers)), ({ status }) => status)

describe("with default settings", () => {
  it.scopedLive(
    "the server keeps its files to their owner, whatever the umask allows",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({}, { through: ordinaryShell })
        const device = yield* Device.login(server.url, Client.make())
        yield* Device.openSession(device, "t")
        assert.strictEqual(octal(fs.statSync(server.directory).mode & 0o777), "0700")
        const files = modes(server.directory)
        const base = path.basename(server.databaseFile)
        assert.includeMembers(
          files.map(({ name }) => name),
          [base, `${base}-wal`, `${base}-shm`, `${base}.lock`, "handy-master-secret.txt"]
        )
        for (const { mode, name } of files) assert.strictEqual(octal(mode), "0600", name)
      }),
    30_000
  )

  it.scopedLive(
    "the copy from before a migration is its owner's too",
    () =>
      Effect.gen(function* () {
        const directory = path.join(yield* TemporaryDirectory.make, "data")
        fs.mkdirSync(directory, { mode: 0o700 })
        const migrationsDir = yield* TemporaryDirectory.make
        fs.cpSync(MigrationFolder.bundledDir, migrationsDir, { recursive: true })
        const last =
          fs
            .readdirSync(migrationsDir)
            .toSorted()
            .findLast((name) => /^\d/.test(name)) ?? ""
        fs.rmSync(path.join(migrationsDir, last), { recursive: true })
        const filename = path.join(directory, "happier-server-light.sqlite")
        yield* PrismaMigrator.migrate({ filename, migrationsDir })
        // Of a file without rows no copy is made.
        const sqlite = new Sqlite(filename)
        addAccount({ sqlite }, "a1")
        sqlite.close()
        yield* BuiltServer.start({}, { directory, through: ordinaryShell })
        const copies = modes(directory).filter(({ name }) => name.endsWith(".bak"))
        assert.lengthOf(copies, 1)
        assert.deepStrictEqual(
          copies.map(({ mode }) => octal(mode)),
          ["0600"]
        )
      }),
    30_000
  )

  it.scopedLive(
    "a secret that others may read is its owner's alone after the start, and the log reports it",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.make()
        yield* server.start
        const secret = path.join(server.directory, "handy-master-secret.txt")
        for (const mode of [0o640, 0o604, 0o620]) {
          yield* server.end("SIGTERM")
          fs.chmodSync(secret, mode)
          yield* server.start
          assert.strictEqual(octal(fs.statSync(secret).mode & 0o777), "0600")
          assert.include(server.output(), `The mode of ${secret} was ${octal(mode)} and is 0600 now`)
          assert.notInclude(server.output(), fs.readFileSync(secret, "utf8").trim())
        }
      }),
    30_000
  )

  it.scopedLive("the port is open to this machine alone", () =>
    Effect.gen(function* () {
      const server = yield* BuiltServer.start()
      const port = Number(new URL(server.url).port)
      assert.isFalse(yield* isRefused("127.0.0.1", port))
      // Another address of the loopback: a server that listens everywhere would answer there as well.
      assert.isTrue(yield* isRefused("127.0.0.2", port))
    })
  )

  it.scopedLive("no other origin may read an answer, over HTTP or a socket that polls", () =>
    Effect.gen(function* () {
      const { url } = yield* BuiltServer.start()
      for (const path of ["/v1/features", "/v1/machines", "/v1/updates/?EIO=4&transport=polling"]) {
        for (const method of ["GET", "OPTIONS"]) {
          const answer = yield* get(url + path, { origin, "access-control-request-method": "POST" }, method)
          assert.deepStrictEqual(corsHeaders(answer), [], `${method} ${path}`)
        }
      }
    })
  )

  it.scopedLive("headers about the client address are ignored", () =>
    Effect.gen(function* () {
      const { url } = yield* BuiltServer.start({ HAPPIER_RATE_LIMIT_AUTH: "2" })
      const statuses = yield* Effect.forEach([1, 2, 3], (number) =>
        login(url, {
          "x-forwarded-for": `192.0.2.${number}`,
          "x-real-ip": `192.0.2.${number}`,
          forwarded: `for=192.0.2.${number}`
        })
      )
      assert.deepStrictEqual(statuses, [200, 200, 429])
    })
  )
})

describe("with settings of the operator", () => {
  it.scopedLive("the origins that are named may read answers, and no others", () =>
    Effect.gen(function* () {
      const { url } = yield* BuiltServer.start({ HAPPIER_CORS_ORIGINS: origin })
      for (const path of ["/v1/features", "/v1/updates/?EIO=4&transport=polling"]) {
        const welcome = yield* get(url + path, { origin })
        assert.strictEqual(welcome.headers.get("access-control-allow-origin"), origin, path)
        assert.isNull(welcome.headers.get("access-control-allow-credentials"), path)
        for (const other of ["https://evil.example", "null", `${origin}.evil.example`]) {
          const answer = yield* get(url + path, { origin: other })
          assert.notInclude([other, "*"], answer.headers.get("access-control-allow-origin"), `${path} to ${other}`)
        }
      }
    })
  )

  it.scopedLive("the header of a configured proxy is used, and only its own entry", () =>
    Effect.gen(function* () {
      const { url } = yield* BuiltServer.start({
        HAPPIER_RATE_LIMIT_AUTH: "1",
        HAPPIER_TRUSTED_PROXIES: "loopback"
      })
      // The last entry is the proxy's; what stands before it came from the client.
      const statuses = yield* Effect.forEach(["192.0.2.1", "192.0.2.2", "198.51.100.9, 192.0.2.1"], (addresses) =>
        login(url, { "x-forwarded-for": addresses })
      )
      assert.deepStrictEqual(statuses, [200, 200, 429])
    })
  )
})
