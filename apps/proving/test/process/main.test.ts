/**
 * The server as a process, on a real file, with real signals and a real foreign
 * lock. Everything here takes real time; nothing waits for a fixed one.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Duration, Effect, Fiber } from "effect"
import fs from "node:fs"
import net from "node:net"
import path from "node:path"
import * as ForeignLock from "presence-effect/testing/ForeignLock"
import { io } from "socket.io-client"
import { vi } from "vitest"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"
import * as TimeLimit from "../../src/drivers/TimeLimit.ts"

// Each test starts a process or two, which takes seconds on a busy box.
vi.setConfig({ testTimeout: 60_000 })

const login = (url: string, client = Client.make()) => ServerProcess.request(`${url}/v1/auth`, client.challenge())

const stopped = (server: ServerProcess.ServerProcess) => Effect.zipRight(server.kill("SIGTERM"), server.exitCode)

describe("main", () => {
  it.scopedLive("serves until a signal comes, and has its accounts after a restart", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      const url = yield* server.url
      const client = Client.make()
      const { body, status } = yield* login(url, client)
      assert.strictEqual(status, 200)
      assert.strictEqual((yield* ServerProcess.request(`${url}/readyz`)).status, 200)
      assert.strictEqual(yield* stopped(server), 0)
      assert.deepStrictEqual(fs.readdirSync(server.directory).toSorted(), [
        "handy-master-secret.txt",
        "happier-server-light.sqlite",
        "happier-server-light.sqlite.lock",
        "login-challenges.txt"
      ])

      const again = yield* ServerProcess.start({ directory: server.directory })
      const response = yield* Effect.flatMap(again.url, (url) =>
        Effect.promise(() =>
          fetch(`${url}/v1/machines`, { headers: { authorization: `Bearer ${String(body["token"])}` } })
        )
      )
      assert.strictEqual(response.status, 200)
      assert.deepStrictEqual(yield* Effect.promise(() => response.json()), [])
      assert.strictEqual(yield* stopped(again), 0)
      const database = new Sqlite(server.databaseFile, { readonly: true })
      const accounts = database.prepare("SELECT publicKey FROM Account").all()
      database.close()
      assert.deepStrictEqual(accounts, [{ publicKey: client.publicKeyHex }])
    })
  )

  it.scopedLive("ends in time with sockets open, whose clients come back", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      const url = yield* server.url
      const { body } = yield* login(url)
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() =>
          io(url, { path: "/v1/updates", transports: ["websocket"], auth: { token: body["token"] }, forceNew: true })
        ),
        (socket) => Effect.sync(() => socket.disconnect())
      )
      yield* Effect.async<void>((resume) => void socket.once("connect", () => resume(Effect.void)))
      const disconnected = yield* Effect.fork(
        Effect.async<string>((resume) => void socket.once("disconnect", (reason) => resume(Effect.succeed(reason))))
      )
      const [duration, code] = yield* Effect.timed(stopped(server))
      assert.strictEqual(code, 0)
      TimeLimit.holds("the shutdown, in ms", Duration.toMillis(duration), 5000)
      // socket.io clients stay away after `io server disconnect`.
      assert.strictEqual(yield* Fiber.join(disconnected), "transport close")
    })
  )

  it.scopedLive("answers while another process holds the write lock, and recovers by itself", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      const url = yield* server.url
      const known = Client.make()
      yield* login(url, known)
      yield* Effect.gen(function* () {
        yield* ForeignLock.hold(server.databaseFile)
        const [refused, welcome, alive] = yield* Effect.all(
          [login(url), login(url, known), ServerProcess.request(`${url}/livez`)],
          { concurrency: "unbounded" }
        )
        assert.strictEqual(refused.status, 503)
        assert.strictEqual(refused.body["code"], "DatabaseBusy")
        assert.isString(refused.body["error"])
        assert.isNotNull(refused.retryAfter)
        TimeLimit.holds("a refusal, in ms", refused.millis, 4000)
        // Nothing to write, so nothing to wait for.
        assert.strictEqual(welcome.status, 200)
        assert.strictEqual(alive.status, 200)
        TimeLimit.holds("liveness, in ms", alive.millis, 1000)
        const unready = yield* ServerProcess.until(503, ServerProcess.request(`${url}/readyz`))
        assert.include(JSON.stringify(unready.body), "DatabaseBusy")
      }).pipe(Effect.scoped)
      yield* ServerProcess.until(200, ServerProcess.request(`${url}/readyz`))
      assert.strictEqual((yield* login(url)).status, 200)
      assert.strictEqual(yield* stopped(server), 0)
    })
  )

  it.scopedLive("ends in order under a lock that stays, and reports how much presence could not be written", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      const url = yield* server.url
      const { body } = yield* login(url)
      const token = String(body["token"])
      const machine = { id: "4b0f3f7e-6d0e-4b8a-9f43-000000000001", metadata: "m" }
      assert.strictEqual((yield* ServerProcess.request(`${url}/v1/machines`, machine, token)).status, 200)
      yield* ForeignLock.hold(server.databaseFile)
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() =>
          io(url, {
            path: "/v1/updates",
            transports: ["websocket"],
            auth: { token, clientType: "machine-scoped", machineId: machine.id },
            forceNew: true
          })
        ),
        (socket) => Effect.sync(() => socket.disconnect())
      )
      yield* Effect.async<void>((resume) => void socket.emit("ping", () => resume(Effect.void)))
      assert.strictEqual(yield* stopped(server), 0)
      assert.match(
        server.output().stdout,
        /"code":"PRESENCE_LOST".*"pendingCount":1|"pendingCount":1.*"code":"PRESENCE_LOST"/
      )
    })
  )

  it.scopedLive("ends with code 4 when the database file is replaced under it", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      yield* server.url
      const copy = `${server.databaseFile}.copy`
      fs.copyFileSync(server.databaseFile, copy)
      fs.renameSync(copy, server.databaseFile)
      assert.strictEqual(yield* server.exitCode, 4)
      assert.include(server.output().stderr, "was moved, deleted or replaced")
    })
  )

  it.scopedLive("ends at once when a second signal comes", () =>
    Effect.gen(function* () {
      const server = yield* ServerProcess.start()
      const url = yield* server.url
      // A request that does not end keeps the first signal waiting.
      const socket = net.connect(Number(new URL(url).port), "127.0.0.1")
      socket.on("error", () => {})
      yield* Effect.async<void>((resume) => {
        socket.write(
          "POST /v1/auth HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{",
          () => resume(Effect.void)
        )
      })
      // The server has read the half request when it answers one that came after it.
      yield* ServerProcess.request(`${url}/livez`)
      yield* server.kill("SIGTERM")
      yield* ServerProcess.untilClosed(url)
      yield* server.kill("SIGINT")
      assert.strictEqual(yield* server.exitCode, 1)
      socket.destroy()
    })
  )

  describe("exit codes", () => {
    it.scopedLive("2 for unknown arguments", () =>
      Effect.gen(function* () {
        const server = yield* ServerProcess.start({ arguments: ["--prot=1"] })
        assert.strictEqual(yield* server.exitCode, 2)
        assert.include(server.output().stderr, "happier-light-server --help")
      })
    )

    it.scopedLive("3 for a configuration it cannot use, with every problem", () =>
      Effect.gen(function* () {
        const environment = { PORT: "x", HAPPIER_LOG_LEVEL: "y" }
        const server = yield* ServerProcess.start({ environment })
        assert.strictEqual(yield* server.exitCode, 3)
        const { stderr } = server.output()
        assert.include(stderr, `PORT is "x"`)
        assert.include(stderr, `HAPPIER_LOG_LEVEL is "y"`)
        assert.isFalse(fs.existsSync(server.directory))
      })
    )

    it.scopedLive("4 for a secret that is too short", () =>
      Effect.gen(function* () {
        const directory = yield* TemporaryDirectory.make
        fs.writeFileSync(path.join(directory, "handy-master-secret.txt"), "canary", { mode: 0o600 })
        const server = yield* ServerProcess.start({ directory })
        assert.strictEqual(yield* server.exitCode, 4)
        assert.include(server.output().stderr, "shorter than 16 characters")
        assert.notInclude(JSON.stringify(server.output()), "canary")
      })
    )

    it.scopedLive("5 for a database it must not migrate", () =>
      Effect.gen(function* () {
        const directory = yield* TemporaryDirectory.make
        const file = path.join(directory, "happier-server-light.sqlite")
        const database = new Sqlite(file)
        database.exec("CREATE TABLE Foreign_ (id)")
        database.close()
        const before = fs.readFileSync(file)
        const server = yield* ServerProcess.start({ directory })
        assert.strictEqual(yield* server.exitCode, 5)
        assert.deepStrictEqual(fs.readFileSync(file), before)
      })
    )

    it.scopedLive("75 for a port that is taken", () =>
      Effect.gen(function* () {
        const first = yield* ServerProcess.start()
        const port = new URL(yield* first.url).port
        const second = yield* ServerProcess.start({ environment: { PORT: port } })
        assert.strictEqual(yield* second.exitCode, 75)
        assert.include(second.output().stderr, "EADDRINUSE")
      })
    )
  })
})
