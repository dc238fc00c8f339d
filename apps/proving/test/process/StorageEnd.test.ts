/**
 * Goal: changes to the files under a running server lose no acknowledged write.
 * Method: delete or replace them while it registers machines, damage a table,
 * fill its disk; then compare its answers with the file and its exit code with
 * the table in docs/operations.md.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as AckLog from "../../src/drivers/AckLog.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as SmallDisk from "../../src/drivers/SmallDisk.ts"

const replaceWithCopy = (file: string) => {
  fs.copyFileSync(file, `${file}.copy`)
  fs.renameSync(`${file}.copy`, file)
}

const failingChecks = (url: string) =>
  Effect.map(Device.request(`${url}/readyz`), ({ body }) =>
    (body["checks"] as ReadonlyArray<{ readonly name: string; readonly ok: boolean; readonly code: string }>)
      .filter(({ ok }) => !ok)
      .map(({ code, name }) => `${name} ${code}`)
  )

/** Spoils the first page of a table or an index, in the file itself. */
const damage = ({ databaseFile, rows }: BuiltServer.Server, name: string) => {
  const root = rows(`SELECT rootpage FROM sqlite_schema WHERE name = '${name}'`)[0]
  const file = fs.openSync(databaseFile, "r+")
  fs.writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, (Number(root?.["rootpage"]) - 1) * 4096)
  fs.closeSync(file)
}

describe("the files of a running server", () => {
  it.scopedLive.each([
    ["the database is deleted", "", (file: string) => fs.unlinkSync(file)],
    ["the database is replaced", "", replaceWithCopy],
    ["the log is deleted", "-wal", (file: string) => fs.unlinkSync(file)]
  ] as const)(
    "acknowledges nothing after %s, and ends with the code for storage",
    ([, suffix, harm]) =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const device = yield* Device.login(server.url, Client.make())
        const log = AckLog.make()
        for (let count = 0; count < 20; count++) yield* log.register(device)
        assert.strictEqual(log.acknowledged.size, 20)
        harm(`${server.databaseFile}${suffix}`)
        // Until the port is closed.
        yield* Effect.ignore(Effect.forever(log.register(device)))
        const after = log.answers.slice(20)
        assert.isAtLeast(after.length, 1)
        assert.deepStrictEqual([...new Set(after.map(({ status }) => status))], [503])
        assert.strictEqual(after[0]?.body["code"], "DatabaseMoved")
        assert.strictEqual((yield* server.ended).code, 4)
        assert.include(server.output(), "DATABASE_MOVED")
        assert.include(server.output(), `${server.databaseFile}${suffix} was deleted or replaced`)
      }),
    60_000
  )

  it.scopedLive(
    "writes nothing more once a table turned out damaged, stays up unready, and does not start on it again",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        damage(server, "Account")
        const login = () => Device.post(`${server.url}/v1/auth`, Client.make().challenge())
        const refused = yield* login()
        assert.deepInclude(refused.body, { code: "DatabaseCorrupt", retryable: false })
        assert.strictEqual(refused.status, 500)
        assert.isNull(refused.headers.get("retry-after"))
        assert.include(yield* failingChecks(server.url), "file DatabaseCorrupt")
        const sizes = () => [server.databaseFile, `${server.databaseFile}-wal`].map((path) => fs.readFileSync(path))
        const before = sizes()
        // Another table, and sound: it is not written either.
        const pairing = yield* Device.post(`${server.url}/v1/auth/request`, {
          publicKey: Client.make().challenge().publicKey
        })
        assert.strictEqual(pairing.body["code"], "DatabaseCorrupt")
        assert.strictEqual((yield* login()).body["code"], "DatabaseCorrupt")
        assert.deepStrictEqual(sizes(), before)
        assert.include(server.output(), "DATABASE_CORRUPT")
        assert.strictEqual((yield* server.end("SIGTERM")).code, 4)

        const checked = yield* BuiltServer.make({}, { directory: server.directory })
        yield* checked.launch
        assert.strictEqual((yield* checked.ended).code, 4)
        assert.include(checked.output(), `${server.databaseFile} is damaged (`)
        assert.include(checked.output(), "put a backup in its place")
      }),
    60_000
  )

  it.scopedLive(
    "writes nothing more once a read has met damage, and goes on reading what is whole",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const device = yield* Device.login(server.url, Client.make())
        const id = yield* Device.openSession(device, "t")
        damage(server, "SessionMessage_sessionId_seq_idx")
        const messages = yield* device.get(`/v1/sessions/${id}/messages`)
        assert.deepInclude(messages.body, { code: "DatabaseCorrupt", retryable: false })
        assert.strictEqual(messages.status, 500)
        assert.include(yield* failingChecks(server.url), "file DatabaseCorrupt")
        const refused = yield* device.post("/v1/sessions", { tag: "u", metadata: "sealed" })
        assert.deepInclude(refused.body, { code: "DatabaseCorrupt", retryable: false })
        assert.strictEqual((yield* device.get("/v1/sessions")).status, 200)
        assert.strictEqual((yield* server.end("SIGTERM")).code, 4)
      }),
    60_000
  )

  it.scopedLive(
    "refuses writes while only the reserve of the disk is left, goes on reading, and recovers by itself",
    (context) =>
      Effect.gen(function* () {
        if (!(yield* SmallDisk.isPossible)) return context.skip()
        const disk = yield* SmallDisk.make("64m")
        const server = yield* BuiltServer.start(
          { HAPPIER_DISK_RESERVE_BYTES: String(16 * 1024 * 1024), HAPPIER_PRESENCE_FLUSH_INTERVAL_MS: "500" },
          { directory: path.join(disk, "data") }
        )
        const device = yield* Device.login(server.url, Client.make())
        const log = AckLog.make()
        assert.strictEqual((yield* log.register(device)).status, 200)
        const ended = yield* Device.openSession(device, "ended")
        const deleted = yield* Device.openSession(device, "deleted")
        const line = yield* device.connect({ clientType: "session-scoped", sessionId: ended })
        const isActive = Effect.sync(
          () => server.rows(`SELECT "active" FROM "Session" WHERE "id" = ?`, ended)[0]?.["active"] === 1
        )
        Device.pulse(line, "session", ended).beat()
        yield* Eventually.until(isActive, (active) => active)
        const ballast = path.join(disk, "ballast")
        fs.writeFileSync(ballast, Buffer.alloc(52 * 1024 * 1024))
        const full = yield* log.register(device)
        assert.deepInclude(full.body, { code: "DatabaseFull", retryable: true })
        assert.strictEqual(full.status, 503)
        assert.isAtLeast(Number(full.headers.get("retry-after")), 60)
        assert.strictEqual((yield* device.get("/v1/machines")).status, 200)
        // What makes room or ends something does not wait for room.
        assert.strictEqual((yield* device.remove(`/v1/sessions/${deleted}`)).status, 200)
        line.socket.emit("session-end", { sid: ended, time: Date.now() })
        yield* Eventually.until(isActive, (active) => !active)
        assert.strictEqual((yield* log.register(device)).status, 503)
        yield* Eventually.until(failingChecks(server.url), (failing) =>
          ["disk DiskFull", "commit DatabaseFull"].every((check) => failing.includes(check))
        )
        fs.rmSync(ballast)
        yield* Eventually.until(Device.request(`${server.url}/readyz`), ({ status }) => status === 200)
        assert.strictEqual((yield* log.register(device)).status, 200)
        assert.deepStrictEqual(log.missing(server), [])
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0)
        const sqlite = new Sqlite(server.databaseFile, { readonly: true })
        assert.strictEqual(sqlite.pragma("quick_check", { simple: true }), "ok")
        sqlite.close()
      }),
    60_000
  )
})
