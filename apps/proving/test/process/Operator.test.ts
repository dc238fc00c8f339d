/**
 * Goal: an operator sees and changes the running server from the machine it runs on.
 * Method: the built server with real clients, and commands as processes beside it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as OperatorCommand from "../../src/drivers/OperatorCommand.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

/** An account with a machine, a session with messages, and an artifact. */
const settle = (server: BuiltServer.Server) =>
  Effect.gen(function* () {
    const device = yield* Device.login(server.url, Client.make())
    const { id: accountId } = (yield* device.get("/v1/account/profile")).body
    const machineId = `machine-of-${accountId}`
    yield* device.post("/v1/machines", { id: machineId, metadata: "sealed" })
    const { session } = (yield* device.post("/v1/sessions", { tag: "t", metadata: "sealed" })).body
    const messages = [{ localId: "l1", content: "c2VhbGVk" }]
    assert.strictEqual((yield* device.post(`/v3/sessions/${session.id}/messages`, { messages })).status, 200)
    yield* device.post("/v1/kv", { mutations: [{ key: "k", value: "dg==", version: -1 }] })
    return { device, accountId: String(accountId), machineId, sessionId: String(session.id) }
  })

const owned = ["Machine", "Session", "UserKVStore", "AccountChange", "TokenRevocation"]

/** Rows of the account, in all tables together. */
const rowsOf = (server: BuiltServer.Server, accountId: string) =>
  [`"Account" WHERE "id" = ?`, ...owned.map((table) => `"${table}" WHERE "accountId" = ?`)]
    .map((rows) => Number(server.rows(`SELECT count(*) AS "count" FROM ${rows}`, accountId)[0]?.["count"]))
    .reduce((sum, count) => sum + count, 0)

const untilGone = (server: BuiltServer.Server, accountId: string) =>
  Eventually.until(
    Effect.sync(() => rowsOf(server, accountId)),
    (count) => count === 0,
    "30 seconds"
  )

describe("the operator", () => {
  it.scopedLive(
    "sees whether the server is well, and who is connected",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const { device, machineId } = yield* settle(server)
        yield* device.connect({ clientType: "machine-scoped", machineId })
        yield* device.connect({ clientType: "user-scoped" })
        const place = { directory: server.directory }
        const status = yield* OperatorCommand.json(["status"], place)
        assert.deepInclude(status, {
          isReady: true,
          pid: yield* server.pid,
          url: server.url,
          databaseFile: server.databaseFile,
          logLevel: "info",
          sockets: { apps: 1, machines: 1, sessions: 0 }
        })
        assert.deepStrictEqual(
          status.writer.lanes.map(({ lane }: { readonly lane: string }) => lane),
          ["control", "data", "presence", "maintenance"]
        )
        assert.isAbove(status.storage.databaseBytes, 100_000)
        assert.isAbove(status.storage.diskFreeBytes, 0)

        const text = yield* OperatorCommand.run(["status"], place)
        assert.strictEqual(text.code, 0)
        assert.match(text.stdout, /^light-server \S+ is well \(process \d+, up \d+ s\)\n/)
        assert.include(text.stdout, "1 app, 1 machine, 0 sessions connected")

        assert.deepStrictEqual(yield* OperatorCommand.json(["log-level", "debug"], place), { level: "debug" })
        yield* device.get("/v1/sessions")
        yield* Eventually.until(Effect.sync(server.output), (output) => output.includes(`"level":"debug"`))

        yield* server.end("SIGKILL")
        const gone = yield* OperatorCommand.run(["status"], place)
        assert.strictEqual(gone.code, 1)
        assert.match(gone.stderr, /^light-server: no server runs on this data directory: .* \(ECONNREFUSED\); .*\n$/)
        // What the killed process left is no obstacle.
        yield* server.start
        assert.isTrue((yield* OperatorCommand.json(["status"], place)).isReady)
        yield* server.end("SIGTERM")
        assert.isFalse(fs.existsSync(path.join(server.directory, "admin.sock")))
      }),
    120_000
  )

  it.scopedLive(
    "ends with code 1 while the server is not ready, and says why",
    () =>
      Effect.gen(function* () {
        // No disk has so much room.
        const server = yield* BuiltServer.start({ HAPPIER_DISK_RESERVE_BYTES: "1099511627776" })
        const { code, stdout } = yield* Eventually.until(
          OperatorCommand.run(["status"], { directory: server.directory }),
          (outcome) => outcome.code === 1,
          "30 seconds"
        ).pipe(Effect.map(({ answer }) => answer))
        assert.strictEqual(code, 1)
        assert.match(stdout, /is NOT ready/)
        assert.match(stdout, /^ {2}disk +DiskFull since \S+: \d+ bytes are free/m)
      }),
    60_000
  )

  it.scopedLive(
    "revokes one device and deletes one account, and nobody else notices",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const place = { directory: server.directory }
        const first = yield* settle(server)
        const second = yield* settle(server)
        const { accounts } = yield* OperatorCommand.json(["account", "list"], place)
        assert.sameMembers(
          accounts.map(({ id }: { readonly id: string }) => id),
          [first.accountId, second.accountId]
        )
        const shown = yield* OperatorCommand.json(["account", "show", first.accountId], place)
        assert.deepInclude(shown, { machineCount: 1, sessionCount: 1, messageCount: 1 })
        assert.lengthOf(shown.devices, 1)

        const { devices } = yield* OperatorCommand.json(["device", "list", second.accountId], place)
        const prefix = String(devices[0].id).slice(0, 12)
        yield* OperatorCommand.json(["device", "revoke", second.accountId, prefix], place)
        assert.strictEqual((yield* second.device.get("/v1/sessions")).status, 401)
        const missing = yield* OperatorCommand.run(["device", "revoke", second.accountId, prefix], place)
        assert.strictEqual(missing.code, 1)
        assert.include(missing.stderr, `no device of the account begins with ${prefix}`)

        const removed = yield* OperatorCommand.json(["account", "delete", first.accountId, "--yes"], place)
        assert.deepStrictEqual(removed, { id: first.accountId, sessionCount: 1, machineCount: 1 })
        assert.strictEqual((yield* first.device.get("/v1/sessions")).status, 401)
        yield* untilGone(server, first.accountId)
        assert.strictEqual(server.rows("SELECT count(*) AS count FROM SessionMessage")[0]?.["count"], 1)
        assert.deepStrictEqual(server.rows("PRAGMA foreign_key_check"), [])
        const again = yield* OperatorCommand.run(["account", "delete", first.accountId, "--yes"], place)
        assert.strictEqual(again.code, 1)
        assert.strictEqual(again.stderr, "light-server: the server refused: Account not found (NotFound)\n")
      }),
    120_000
  )

  it.scopedLive(
    "deletes the rest of an account after a process that was killed in between",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const { accountId } = yield* settle(server)
        yield* server.end("SIGKILL")
        const sqlite = yield* Effect.promise(() => import("better-sqlite3"))
        const file = new sqlite.default(server.databaseFile)
        file.prepare("UPDATE Account SET publicKey = 'deleted-account:' || id WHERE id = ?").run(accountId)
        file.close()
        yield* server.start
        yield* untilGone(server, accountId)
      }),
    60_000
  )
})

describe("migrate", () => {
  it.scopedLive("says what it would do, does it once, and refuses while a server runs", () =>
    Effect.gen(function* () {
      const directory = path.join(yield* TemporaryDirectory.make, "data")
      const planned = yield* OperatorCommand.json(["migrate", "--dry-run"], { directory })
      assert.isAbove(planned.applied.length, 5)
      assert.isFalse(fs.existsSync(directory))
      const done = yield* OperatorCommand.json(["migrate"], { directory })
      assert.deepStrictEqual(done.applied, planned.applied)
      assert.deepInclude(yield* OperatorCommand.json(["migrate"], { directory }), { applied: [], backup: null })
      const server = yield* BuiltServer.start({}, { directory })
      assert.strictEqual((yield* OperatorCommand.run(["migrate"], { directory })).code, 6)
      yield* server.end("SIGTERM")
    })
  )
})
