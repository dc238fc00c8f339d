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
        assert.match(text.stdout, /^happier-light-server \S+ is well \(process \d+, up \d+ s\)\n/)
        assert.include(text.stdout, "1 app, 1 machine, 0 sessions connected")
        assert.match(text.stdout, /^ {2}backup +never$/m)

        const made = yield* OperatorCommand.json(["backup"], place)
        const backedUp = yield* OperatorCommand.run(["status"], place)
        assert.match(backedUp.stdout, /^ {2}backup +\S+\.sqlite, \S+ \S+, .* ago, verified$/m)
        fs.rmSync(made.file)
        assert.isTrue((yield* OperatorCommand.json(["status"], place)).backup.isGone)
        assert.match((yield* OperatorCommand.run(["status"], place)).stdout, /^ {2}backup .*, GONE: /m)

        assert.deepStrictEqual(yield* OperatorCommand.json(["log-level", "debug"], place), { level: "debug" })
        yield* device.get("/v1/sessions")
        yield* Eventually.until(Effect.sync(server.output), (output) => output.includes(`"level":"debug"`))

        yield* server.end("SIGKILL")
        const gone = yield* OperatorCommand.run(["status"], place)
        assert.strictEqual(gone.code, 1)
        assert.match(
          gone.stderr,
          /^happier-light-server: no server runs on this data directory: .* \(ECONNREFUSED\); .*\n$/
        )
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
        // Also while its rows are being deleted.
        const statuses = yield* Effect.replicateEffect(first.device.get("/v1/sessions"), 50)
        assert.deepStrictEqual([...new Set(statuses.map(({ status }) => status))], [401])
        yield* untilGone(server, first.accountId)
        assert.strictEqual(server.rows("SELECT count(*) AS count FROM SessionMessage")[0]?.["count"], 1)
        assert.deepStrictEqual(server.rows("PRAGMA foreign_key_check"), [])
        const again = yield* OperatorCommand.run(["account", "delete", first.accountId, "--yes"], place)
        assert.strictEqual(again.code, 1)
        assert.strictEqual(again.stderr, "happier-light-server: the server refused: Account not found (NotFound)\n")
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

describe("doctor", () => {
  it.scopedLive(
    "names what is wrong with a running server, and corrects what it can",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const place = { directory: server.directory }
        const levelsOf = (found: ReadonlyArray<{ readonly code: string; readonly level: string }>) =>
          Object.fromEntries(found.map(({ code, level }) => [code, level]))
        const sound = yield* OperatorCommand.json(["doctor"], place)
        assert.deepInclude(levelsOf(sound), { D001: "ok", D102: "ok", D202: "ok", D204: "ok", D301: "ok", D303: "ok" })

        fs.chmodSync(server.databaseFile, 0o644)
        const loose = yield* OperatorCommand.run(["doctor"], place)
        assert.strictEqual(loose.code, 1)
        assert.match(loose.stdout, /^FAIL D102 modes: .* has mode 0644\n {7}why: .*\n {7}fix: chmod 0600 /m)
        const fixed = yield* OperatorCommand.run(["doctor", "--fix"], place)
        assert.strictEqual(fixed.code, 0)
        assert.include(fixed.stderr, "D102 repaired: chmod 0600")
        assert.strictEqual(fs.statSync(server.databaseFile).mode & 0o777, 0o600)

        const misread = yield* OperatorCommand.run(["doctor"], { ...place, environment: { PUBLIC_URL: "nowhere" } })
        assert.strictEqual(misread.code, 1)
        assert.match(misread.stdout, /^FAIL D001 configuration: PUBLIC_URL is "nowhere"/)
        const misspelt = yield* OperatorCommand.run(["doctor"], {
          ...place,
          environment: { HAPPIER_BODY_LIMIT_BYTE: "1" }
        })
        assert.match(misspelt.stdout, /^WARN D001 configuration: HAPPIER_BODY_LIMIT_BYTE is not known, did you mean/)
      }),
    120_000
  )
})

describe("setup", () => {
  it.scopedLive(
    "writes a configuration that the server starts with, and changes nothing when a value is wrong",
    () =>
      Effect.gen(function* () {
        const directory = path.join(yield* TemporaryDirectory.make, "data")
        const file = path.join(directory, "light-server.toml")
        const words = ["setup", "--public-url", "https://box.example.org", "--sign-up", "first-account"]
        const wrong = yield* OperatorCommand.run([...words, "--trusted-proxies", "everybody"], { directory })
        assert.strictEqual(wrong.code, 3)
        assert.include(wrong.stderr, "everybody: neither an address nor a network")
        assert.isFalse(fs.existsSync(file))

        const done = yield* OperatorCommand.run(words, { directory })
        assert.strictEqual(done.code, 0)
        assert.include(done.stdout, `wrote ${file}\n`)
        assert.include(done.stdout, "HAPPIER_SERVER_URL=https://box.example.org")
        // A code of version 2 has 25 modules and a border, two rows in one line.
        assert.isAtLeast(done.stdout.split("\n").filter((line) => /[▀▄█]{5}/.test(line)).length, 10)
        assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)

        const again = yield* OperatorCommand.run(["setup", "--sign-up", "0"], { directory })
        assert.strictEqual(again.code, 1)
        assert.include(again.stderr, "it exists; edit it, or replace it with --force")

        const server = yield* BuiltServer.start({}, { directory })
        const status = yield* OperatorCommand.json(["status"], { directory })
        assert.strictEqual(status.publicUrl, "https://box.example.org")
        yield* Device.login(server.url, Client.make())
        const second = yield* Device.post(`${server.url}/v1/auth`, Client.make().challenge())
        assert.strictEqual(second.status, 403)
      }),
    60_000
  )
})

describe("backup and restore", () => {
  it.scopedLive(
    "bring a server back with its clients logged in, and are refused where a server runs",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const place = { directory: server.directory }
        const { accountId, device, sessionId } = yield* settle(server)
        const { file, secret } = yield* OperatorCommand.json(["backup"], place)
        assert.isTrue(fs.existsSync(secret))
        const checked = yield* OperatorCommand.run(["backup", "--verify", file], place)
        assert.deepStrictEqual([checked.code, checked.stdout], [0, `${file} is sound\n`])
        const status = yield* OperatorCommand.json(["status"], place)
        assert.strictEqual(status.backup.last.file, file)

        yield* device.remove(`/v1/sessions/${sessionId}`)
        const refused = yield* OperatorCommand.run(["restore", "--from", file], place)
        assert.strictEqual(refused.code, 6)
        yield* server.end("SIGTERM")
        const { replaced } = yield* OperatorCommand.json(["restore", "--from", file], place)
        assert.lengthOf(replaced, 1)
        yield* server.start
        const sessions = (yield* device.get("/v1/sessions")).body["sessions"]
        assert.deepStrictEqual(
          sessions.map(({ id }: { readonly id: string }) => id),
          [sessionId]
        )
        assert.isAbove(rowsOf(server, accountId), 0)
      }),
    120_000
  )

  it.scopedLive(
    "are made by the server itself when an interval is set",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start({ HAPPIER_BACKUP_INTERVAL_MS: "3600000" })
        const backups = Effect.sync(() => {
          const directory = path.join(server.directory, "backups")
          return fs.existsSync(directory) ? fs.readdirSync(directory).filter((name) => name.endsWith(".sqlite")) : []
        })
        yield* Eventually.until(backups, (names) => names.length === 1, "90 seconds")
        yield* Eventually.until(Effect.sync(server.output), (output) => output.includes("BACKUP_MADE"), "30 seconds")
        const { body } = yield* Effect.map(Device.request(`${server.url}/metrics`), ({ text }) => ({ body: text }))
        assert.match(body, /^backup_failing 0$/m)
        assert.match(body, /^backup_last_success_timestamp_seconds 1\d{9}/m)
      }),
    180_000
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
