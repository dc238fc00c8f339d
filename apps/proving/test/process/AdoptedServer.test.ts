/**
 * A server as a process on a database of another happier light server, and a client that knew that server.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as Client from "../../src/drivers/AccountClient.ts"
import * as FixtureBox from "../../src/fixtures/FixtureBox.ts"
import * as Fixtures from "../../src/fixtures/make-fixtures.ts"
import * as ServerProcess from "../../src/drivers/ServerProcess.ts"
import * as TemporaryDirectory from "../../src/drivers/TemporaryDirectory.ts"

const databaseName = "happier-server-light.sqlite"

const directoryWith = (name: Fixtures.FixtureName) =>
  Effect.map(TemporaryDirectory.make, (directory) => {
    fs.copyFileSync(Fixtures.fileOf(name), path.join(directory, databaseName))
    return directory
  })

/** Asks as the account `a1`, which the other server has made. */
const session = (url: string) =>
  Effect.gen(function* () {
    const { body } = yield* ServerProcess.request(`${url}/v1/auth`, Client.make(Fixtures.seed).challenge())
    return (route: string, payload?: object, status = 200) =>
      Effect.promise(async (signal) => {
        const response = await fetch(`${url}${route}`, {
          signal,
          headers: { authorization: `Bearer ${String(body["token"])}`, "content-type": "application/json" },
          ...(payload && { method: "POST", body: JSON.stringify(payload) })
        })
        assert.strictEqual(response.status, status, await response.clone().text())
        return (await response.json()) as Record<string, Array<Record<string, unknown>>>
      })
  })

const theirTables = ["Artifact", "AccountPushToken", "AccessKey", "SessionShare", "RepeatKey", "_prisma_migrations"]

const pick = (content: Record<string, unknown>) => Object.fromEntries(theirTables.map((name) => [name, content[name]]))

const theirColumns = (file: string) =>
  FixtureBox.withSqlite(file, (sqlite) => [
    sqlite
      .prepare("SELECT id, archivedAt, encryptionMode, pendingCount FROM Session WHERE length(id) = 2 ORDER BY id")
      .all(),
    sqlite.prepare("SELECT id, revokedAt, replacedByMachineId FROM Machine WHERE length(id) = 2 ORDER BY id").all(),
    sqlite.prepare("SELECT id, rowRevision FROM SessionMessage ORDER BY id").all()
  ])

describe("a server on the database of another happier light server", () => {
  it.scopedLive(
    "serves what is in it, writes times in its form, and leaves the rest as it is, start after start",
    () =>
      Effect.gen(function* () {
        const directory = yield* directoryWith("iso-text")
        const file = path.join(directory, databaseName)
        const before = pick(FixtureBox.content(file))
        const columnsBefore = theirColumns(file)

        const server = yield* ServerProcess.start({ directory })
        const url = yield* server.url
        const ask = yield* session(url)
        const machines = (yield* ask("/v1/machines")) as unknown as ReadonlyArray<Record<string, unknown>>
        // The other server has revoked `m2`.
        assert.deepStrictEqual(
          machines.map(({ activeAt, createdAt, id, metadata }) => ({ activeAt, createdAt, id, metadata })),
          [
            {
              activeAt: Fixtures.epochMillis + 200 * 1000 + 1,
              createdAt: Fixtures.epochMillis + 20 * 1000 + 1,
              id: "m1",
              metadata: "sealed"
            }
          ]
        )
        assert.deepStrictEqual<unknown>(yield* ask("/v1/machines/m2", undefined, 410), { error: "machine_revoked" })
        const { sessions } = yield* ask("/v1/sessions")
        assert.sameMembers(sessions?.map(({ id }) => id) ?? [], ["s1", "s2"])
        // The other server has archived `s2`.
        const archived = (yield* ask("/v2/sessions/archived"))["sessions"]
        const archivedAt = Fixtures.epochMillis + 12 * 1000 + 1
        assert.deepStrictEqual(
          archived?.map(({ archivedAt, id }) => ({ archivedAt, id })),
          [{ archivedAt, id: "s2" }]
        )
        yield* ask("/v1/machines", { id: "new-machine", metadata: "sealed" })
        yield* ask("/v1/sessions", { tag: "new-session", metadata: "sealed" })
        yield* server.kill("SIGTERM")
        assert.strictEqual(yield* server.exitCode, 0)

        const forms = FixtureBox.withSqlite(file, (sqlite) =>
          sqlite
            .prepare(
              `SELECT lastActiveAt LIKE '____-__-__T__:__:__.___+00:00'
                 AND createdAt LIKE '____-__-__T__:__:__.___+00:00'
                 AND updatedAt LIKE '____-__-__T__:__:__.___+00:00' FROM (
                 SELECT lastActiveAt, createdAt, updatedAt FROM Machine UNION ALL
                 SELECT lastActiveAt, createdAt, updatedAt FROM Session)`
            )
            .pluck()
            .all()
        )
        assert.deepStrictEqual(forms, Array(7).fill(1))
        assert.deepStrictEqual(pick(FixtureBox.content(file)), before)
        assert.deepStrictEqual(theirColumns(file), columnsBefore)
        const backups = () => fs.readdirSync(directory).filter((name) => name.endsWith(".bak"))
        assert.strictEqual(backups().length, 1)
        assert.include(server.output().stdout, "database of a happier light server adopted")

        const again = yield* ServerProcess.start({ directory })
        yield* again.url
        assert.notInclude(again.output().stdout, "adopted")
        assert.strictEqual(backups().length, 1)
        yield* again.kill("SIGTERM")
        assert.strictEqual(yield* again.exitCode, 0)
      }),
    60_000
  )

  it.scopedLive("does not start on one that it does not understand, prints the reason, and leaves it unchanged", () =>
    Effect.gen(function* () {
      const directory = yield* directoryWith("broken")
      const file = path.join(directory, databaseName)
      const bytes = fs.readFileSync(file)
      const server = yield* ServerProcess.start({ directory })
      assert.strictEqual(yield* server.exitCode, 5)
      assert.include(
        server.output().stderr,
        "- Session.lastActiveAt is missing\n- Machine.metadata is declared INTEGER"
      )
      assert.isTrue(bytes.equals(fs.readFileSync(file)))
    })
  )

  it.scopedLive("does not touch one when additions are not allowed", () =>
    Effect.gen(function* () {
      const directory = yield* directoryWith("integers")
      const server = yield* ServerProcess.start({ directory, environment: { HAPPIER_SQLITE_AUTO_MIGRATE: "0" } })
      assert.strictEqual(yield* server.exitCode, 5)
      assert.include(server.output().stderr, "HAPPIER_SQLITE_AUTO_MIGRATE is off")
    })
  )
})
