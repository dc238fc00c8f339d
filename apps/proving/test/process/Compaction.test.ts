/**
 * Goal: the server recovers from a full disk, and unused space is returned.
 * Method: fill a small disk through the server and delete again; empty a file
 * under it, and beside it with the command, as an operator would.
 */
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as BuiltServer from "../../src/drivers/BuiltServer.ts"
import * as Device from "../../src/drivers/Device.ts"
import * as Eventually from "../../src/drivers/Eventually.ts"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as SmallDisk from "../../src/drivers/SmallDisk.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const mebibyte = 1024 * 1024

const withFile = <A>(file: string, use: (sqlite: Sqlite.Database) => A): A => {
  const sqlite = new Sqlite(file)
  try {
    return use(sqlite)
  } finally {
    sqlite.close()
  }
}

/** Puts `bytes` of rows into the file and takes them out again. */
const fillAndEmpty = (file: string, bytes: number) =>
  withFile(file, (sqlite) => {
    sqlite.exec("CREATE TABLE Ballast (body BLOB)")
    const insert = sqlite.prepare("INSERT INTO Ballast VALUES (zeroblob(100000))")
    sqlite.transaction(() => {
      for (let left = bytes; left > 0; left -= 100_000) insert.run()
    })()
    sqlite.exec("DROP TABLE Ballast")
    sqlite.pragma("wal_checkpoint(TRUNCATE)")
  })

const sizeOf = (file: string) => fs.statSync(file).size

const openSession = (device: Device.Device, tag: string) =>
  device.post("/v1/sessions", { tag, metadata: "x".repeat(900_000) })

const compact = (directory: string, ...flags: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const child = yield* ServerProcess.start({ directory, arguments: ["compact", ...flags] })
    const code = yield* child.exitCode
    return { code, ...child.output() }
  })

describe("a full disk", () => {
  it.scopedLive(
    "can be left: deletes succeed, then new sessions are taken again, and the file gives its space back",
    (context) =>
      Effect.gen(function* () {
        if (!(yield* SmallDisk.isPossible)) return context.skip()
        const disk = yield* SmallDisk.make("96m")
        const server = yield* BuiltServer.start(
          { HAPPIER_DISK_RESERVE_BYTES: String(24 * mebibyte) },
          { directory: path.join(disk, "data") }
        )
        const device = yield* Device.login(server.url, Client.make())
        const ids: Array<string> = []
        let last = yield* openSession(device, "0")
        while (last.status === 200 && ids.length < 200) {
          ids.push(last.body["session"].id)
          last = yield* openSession(device, String(ids.length))
        }
        assert.strictEqual(last.status, 503)
        assert.deepInclude(last.body, { code: "DatabaseFull", retryable: true })
        assert.isAtLeast(ids.length, 20)
        const fullSize = sizeOf(server.databaseFile)

        const deleted = yield* Effect.forEach(ids, (id) => device.remove(`/v1/sessions/${id}`))
        assert.deepStrictEqual([...new Set(deleted.map(({ status }) => status))], [200])
        // What was deleted is in the log as well, until it is copied.
        yield* Eventually.until(
          Effect.delay(openSession(device, "after"), "500 millis"),
          ({ status }) => status === 200,
          "60 seconds"
        )
        yield* Eventually.until(
          Effect.sync(() => sizeOf(server.databaseFile)),
          (size) => size < fullSize / 2,
          "90 seconds"
        )
        assert.strictEqual((yield* openSession(device, "later")).status, 200)
        assert.strictEqual((yield* server.end("SIGTERM")).code, 0)
        assert.strictEqual(
          withFile(server.databaseFile, (sqlite) => sqlite.pragma("integrity_check", { simple: true })),
          "ok"
        )
      }),
    240_000
  )
})

describe("compact", () => {
  it.scopedLive(
    "rewrites a file of an earlier version, and reports it; a server serves it and shortens it by itself from then on",
    () =>
      Effect.gen(function* () {
        const server = yield* BuiltServer.start()
        const device = yield* Device.login(server.url, Client.make())
        assert.strictEqual((yield* device.post("/v1/sessions", { tag: "kept", metadata: "sealed" })).status, 200)
        fillAndEmpty(server.databaseFile, 12e6)
        const running = yield* compact(server.directory, "--json")
        assert.deepStrictEqual([running.code, running.stderr], [0, ""])
        const { bytesAfter, bytesBefore } = JSON.parse(running.stdout)
        assert.isAbove(bytesBefore - bytesAfter, 10e6)
        yield* Eventually.until(
          Effect.sync(() => sizeOf(server.databaseFile)),
          (size) => size === bytesAfter,
          "10 seconds"
        )
        yield* server.end("SIGTERM")

        withFile(server.databaseFile, (sqlite) => sqlite.exec("PRAGMA auto_vacuum = NONE; VACUUM"))
        yield* server.start
        const refused = yield* compact(server.directory)
        assert.strictEqual(refused.code, 6)
        assert.include(refused.stderr, `${server.databaseFile} is in use by process ${yield* server.pid} on `)
        assert.include(refused.stderr, "stop the server once and run the command again")
        yield* server.end("SIGTERM")
        fillAndEmpty(server.databaseFile, 24e6)
        const { code, stderr, stdout } = yield* compact(server.directory)
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.match(stdout, /sqlite: 2\d\.\d MB before, 0\.\d MB now\nThe file was written anew\. .* by itself\.\n$/)
        const again = yield* compact(server.directory, "--json")
        const size = sizeOf(server.databaseFile)
        assert.deepStrictEqual(JSON.parse(again.stdout), {
          databaseFile: server.databaseFile,
          bytesBefore: size,
          bytesAfter: size,
          isRewritten: false
        })

        fillAndEmpty(server.databaseFile, 24e6)
        assert.isAbove(sizeOf(server.databaseFile), 20e6)
        yield* server.start
        assert.lengthOf((yield* device.get("/v1/sessions")).body["sessions"], 1)
        yield* Eventually.until(
          Effect.sync(() => sizeOf(server.databaseFile)),
          (now) => now < 6e6,
          "90 seconds"
        )
        assert.include(server.output(), "are given back to the file system")
        assert.deepStrictEqual(server.rows("PRAGMA integrity_check"), [{ integrity_check: "ok" }])
      }),
    240_000
  )

  it.scopedLive("explains itself, and ends with the code for storage where there is no database", () =>
    Effect.gen(function* () {
      const directory = yield* TemporaryDirectory.make
      const help = yield* compact(directory, "--help")
      assert.strictEqual(help.code, 0)
      assert.include(help.stdout, "which is possible while no server runs")
      const missing = yield* compact(directory)
      assert.strictEqual(missing.code, 4)
      assert.include(missing.stderr, "there is no such file")
      assert.deepStrictEqual(fs.readdirSync(directory), [])
    })
  )
})
