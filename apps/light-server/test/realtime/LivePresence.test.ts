/**
 * Goal: the path of a heartbeat from a socket into the file, and back to an
 * app. Method: everything is real except the clock and the tokens.
 */
import Sqlite from "better-sqlite3"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, TestClock } from "effect"
import fs from "node:fs"
import os from "node:os"
import path from "node:path"
import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
import * as PresenceEffect from "presence-effect/Presence"
import * as Presence from "../../src/entities/Presence.ts"
import { PresenceReader } from "presence-effect/sqlite/SqlitePresenceStorage"
import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
import * as Writer from "presence-effect/writer/Writer"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as MigrationFolder from "../../src/migration/MigrationFolder.ts"
import * as PrismaMigrator from "../../src/migration/PrismaMigrator.ts"
import { SocketServer } from "../../src/realtime/SocketServer.ts"
import { agent, app, authorized, type Client, daemon, layerOver, TestServer } from "../support/TestServer.ts"

class Box extends Context.Tag("test/Box")<Box, { readonly sqlite: Sqlite.Database; readonly filename: string }>() {}

/** A migrated file in a directory of its own, and a connection to look at it from outside. */
const box = Layer.scoped(
  Box,
  Effect.gen(function* () {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "live-presence-"))),
      (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
    )
    const filename = path.join(directory, "light.sqlite")
    yield* PrismaMigrator.migrate({ filename, migrationsDir: MigrationFolder.bundledDir })
    const sqlite = yield* Effect.acquireRelease(
      Effect.sync(() => new Sqlite(filename, { timeout: 0 })),
      (sqlite) => Effect.sync(() => sqlite.close())
    )
    sqlite.exec(
      `INSERT INTO "Account" ("id", "publicKey", "createdAt", "updatedAt") VALUES ('a1', 'key', 5, 5);
       INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('s1', 't', 'a1', 'sealed', 0, 5, 5, 5);
       INSERT INTO "Machine" ("id", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('m1', 'a1', 'sealed', 0, 5, 5, 5)`
    )
    return Box.of({ sqlite, filename })
  })
)

const presenceReader = Layer.effect(
  PresenceReader,
  Effect.map(Box, ({ sqlite }) =>
    PresenceReader.of({ query: (sql, params) => Effect.sync(() => sqlite.prepare(sql).all(...params)) })
  )
)

const writer = Layer.unwrapEffect(
  Effect.map(Box, ({ filename }) =>
    Layer.provideMerge(Writer.layerSqlite, SqliteWriter.layer()).pipe(
      Layer.provide(SqliteInProcess.layer({ filename })),
      Layer.orDie
    )
  )
)

const reader = Layer.unwrapEffect(Effect.map(Box, ({ filename }) => DatabaseReader.layer({ filename })))

const edges = PresenceEffect.layerSqlite(Presence.Presence, { startGrace: "15 seconds" }).pipe(
  Layer.provide(presenceReader),
  Layer.provideMerge(reader),
  Layer.provideMerge(writer),
  Layer.provideMerge(box)
)

const rowOf = (table: "Session" | "Machine") =>
  Effect.map(Box, ({ sqlite }) => sqlite.prepare(`SELECT "active", "lastActiveAt", "updatedAt" FROM "${table}"`).get())

/** Resolves when the server has noticed the disconnect. */
const disconnectOf = ({ socket }: Client) =>
  Effect.map(SocketServer, ({ io }) => {
    const left = new Promise<void>((resolve) => {
      io.sockets.sockets.get(String(socket.id))?.once("disconnect", () => resolve())
    })
    return Effect.promise(() => left)
  })

const cursor = Effect.map(Box, ({ sqlite }) => sqlite.prepare(`SELECT "seq" FROM "Account"`).pluck().get())

describe("live presence", () => {
  it.scoped("writes one tick after the first sign of life, and one grace after the last connection", () =>
    Effect.gen(function* () {
      const start = Date.now()
      yield* TestClock.setTime(start)
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const speaking = yield* server.connect(daemon("a1", "m1"))
        const gone = yield* disconnectOf(speaking)
        assert.deepStrictEqual(yield* watching.next("ephemeral"), {
          type: "machine-activity",
          id: "m1",
          active: true,
          activeAt: start
        })
        const listed = yield* server.inject({ method: "GET", url: "/v1/machines", headers: authorized("a1") })
        assert.isTrue(listed.json<ReadonlyArray<{ active: boolean }>>()[0]?.active)
        assert.deepInclude(yield* rowOf("Machine"), { active: 0, lastActiveAt: 5 })

        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* rowOf("Machine"), { active: 1, lastActiveAt: start, updatedAt: 5 })
        assert.strictEqual(yield* cursor, 0)

        speaking.socket.disconnect()
        yield* gone
        yield* TestClock.adjust("14 seconds")
        assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
        yield* TestClock.adjust("10 seconds")
        const ephemeral = yield* watching.next("ephemeral")
        assert.deepInclude(ephemeral, { type: "machine-activity", id: "m1", active: false })
        assert.deepInclude(yield* rowOf("Machine"), { active: 0, updatedAt: 5 })
        assert.strictEqual(yield* cursor, 0)
      }).pipe(Effect.provide(layerOver(edges)))
    })
  )

  it.scoped("keeps a session ended, whatever heartbeat comes late", () =>
    Effect.gen(function* () {
      const start = Date.now()
      yield* TestClock.setTime(start)
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const speaking = yield* server.connect(agent("a1", "s1"))
        yield* watching.next("ephemeral")
        yield* TestClock.adjust("5 seconds")
        assert.deepInclude(yield* rowOf("Session"), { active: 1 })
        speaking.emit("session-end", { sid: "s1", time: start })
        assert.deepInclude(yield* watching.next("ephemeral"), { type: "activity", id: "s1", active: false })
        assert.deepInclude(yield* rowOf("Session"), { active: 0, updatedAt: 5 })
        speaking.emit("session-alive", { sid: "s1", time: start - 1000 })
        yield* speaking.flush
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
        assert.deepInclude(yield* rowOf("Session"), { active: 0, updatedAt: 5 })
        assert.strictEqual(yield* cursor, 0)
      }).pipe(Effect.provide(layerOver(edges)))
    })
  )

  it.scoped("answers a known machine while another process holds the write lock", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.now())
      yield* Effect.gen(function* () {
        const server = yield* TestServer
        const { sqlite } = yield* Box
        sqlite.exec("BEGIN IMMEDIATE")
        const response = yield* server.inject({
          method: "POST",
          url: "/v1/machines",
          headers: authorized("a1"),
          payload: { id: "m1", metadata: "other" }
        })
        sqlite.exec("ROLLBACK")
        assert.strictEqual(response.statusCode, 200)
        assert.strictEqual(response.json<{ machine: { metadata: string } }>().machine.metadata, "sealed")
      }).pipe(Effect.provide(layerOver(edges)))
    })
  )
})
