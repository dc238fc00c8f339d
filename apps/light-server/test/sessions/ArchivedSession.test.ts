import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { addAccount } from "proving/drivers/Rows"
import * as SessionArchive from "../../src/database/SessionArchive.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import { SocketServer } from "../../src/realtime/SocketServer.ts"
import * as PresenceProbe from "../support/PresenceProbe.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, authorized, type Client, layerWith, TestServer } from "../support/TestServer.ts"
import { archivedAtOf, endedAgent, found, idsOf, kept, list, post, twoSessions } from "./ArchiveClient.ts"

/** Resolves when the server has noticed the disconnect. */
const disconnectOf = ({ socket }: Client) =>
  Effect.map(SocketServer, ({ io }) => {
    const left = new Promise<void>((resolve) => {
      io.sockets.sockets.get(String(socket.id))?.once("disconnect", () => resolve())
    })
    return Effect.promise(() => left)
  })

/** Forks a request whose write meets this, and resolves when the write has begun. */
const forkWrite = <A, E, R>(met: NonNullable<TestDatabase["Type"]["nextWrite"]>, request: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const database = yield* TestDatabase
    database.nextWrite = met
    const fiber = yield* Effect.fork(request)
    const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    while (database.nextWrite !== undefined) yield* turn
    return fiber
  })

describe("an archived session", () => {
  const archived = Effect.tap(twoSessions, () => post("a1", "s1", "archive"))

  /** What an agent does that has not received the archiving. */
  const live = Effect.gen(function* () {
    const server = yield* TestServer
    const working = yield* server.connect(agent("a1", "s1"))
    working.emit("session-alive", { sid: "s1", time: Date.now() + 60_000, thinking: true })
    const ack = yield* working.ask("update-metadata", { sid: "s1", metadata: "new", expectedVersion: 0 })
    assert.deepInclude(ack as object, { result: "success" })
    yield* working.flush
    return working
  })

  for (const [when, archive] of [
    ["that this server has archived", () => Effect.asVoid(post("a1", "s1", "archive"))],
    [
      "that was archived before the server started",
      (database: TestDatabase["Type"]) =>
        Effect.sync(() => void database.sqlite.exec(`INSERT INTO "PresenceSessionArchive" VALUES ('s1', 7)`))
    ]
  ] as const) {
    it.scoped(`${when} is not brought online by a heartbeat, and can be changed`, () =>
      Effect.gen(function* () {
        yield* Effect.tap(twoSessions, archive)
        const probe = yield* PresenceProbe.PresenceProbe
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const working = yield* live
        yield* watching.next("update")
        assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
        assert.deepInclude(yield* found("s1"), { active: false, metadata: "new" })
        assert.deepStrictEqual(idsOf(yield* list("/v2/sessions/active")), [])
        const gone = yield* disconnectOf(working)
        working.socket.disconnect()
        yield* gone
        assert.deepStrictEqual(probe.calls, [])
      }).pipe(Effect.provide(layerWith()))
    )
  }

  it.scoped("is not brought online by a heartbeat that arrives while it is being archived", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const working = yield* endedAgent
      const gate = yield* Deferred.make<void>()
      const asked = yield* forkWrite({ _tag: "After", gate: Deferred.await(gate) }, post("a1", "s1", "archive"))
      working.emit("session-alive", { sid: "s1", time: Date.now() + 60_000 })
      yield* working.flush
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(asked)).statusCode, 200)
      assert.isFalse((yield* found("s1")).active)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("stays silent when it is archived while it leaves the archive", () =>
    Effect.gen(function* () {
      yield* archived
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const [first, second] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
      const out = yield* forkWrite({ _tag: "Slow", gate: Deferred.await(first) }, post("a1", "s1", "unarchive"))
      const back = yield* forkWrite({ _tag: "Slow", gate: Deferred.await(second) }, post("a1", "s1", "archive"))
      yield* Deferred.succeed(first, undefined)
      yield* Fiber.join(out)
      yield* Deferred.succeed(second, undefined)
      yield* Fiber.join(back)
      yield* live
      assert.deepStrictEqual(yield* watching.rest("ephemeral"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("goes online with the next heartbeat once it is unarchived", () =>
    Effect.gen(function* () {
      yield* archived
      const server = yield* TestServer
      const working = yield* live
      const watching = yield* server.connect(app("a1"))
      yield* post("a1", "s1", "unarchive")
      working.emit("session-alive", { sid: "s1", time: Date.now() })
      assert.deepInclude((yield* watching.next("ephemeral")) as object, { id: "s1", active: true })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("is deleted with its place in the archive", () =>
    Effect.gen(function* () {
      const database = yield* archived
      const { inject } = yield* TestServer
      yield* inject({ method: "DELETE", url: "/v1/sessions/s1", headers: authorized("a1") })
      assert.deepStrictEqual(kept(database), [])
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("lists of sessions", () => {
  const five = Effect.tap(TestDatabase, (database) => {
    for (const account of ["a1", "a2"]) addAccount(database, account)
    for (const [id, account] of [
      ["s1", "a1"],
      ["s2", "a1"],
      ["s3", "a1"],
      ["s4", "a1"],
      ["s5", "a1"],
      ["s6", "a2"]
    ] as const) {
      database.sqlite
        .prepare(
          `INSERT INTO "Session"
             ("id", "tag", "accountId", "metadata", "active", "lastActiveAt", "createdAt", "updatedAt")
           VALUES (?, ?, ?, 'sealed', 0, 5, 5, 5)`
        )
        .run(id, id, account)
    }
    database.sqlite.exec(`INSERT INTO "PresenceSessionArchive" VALUES ('s1', 11), ('s3', 13), ('s4', 14), ('s6', 16)`)
  })

  it.scoped("with a cursor hold the archived ones or the others, each with its time", () =>
    Effect.gen(function* () {
      yield* five
      const current = yield* list("/v2/sessions")
      assert.deepStrictEqual(
        current.sessions.map(({ archivedAt, id }) => [id, archivedAt]),
        [
          ["s5", null],
          ["s2", null]
        ]
      )
      const archived = yield* list("/v2/sessions/archived")
      assert.deepStrictEqual(
        archived.sessions.map(({ archivedAt, id }) => [id, archivedAt]),
        [
          ["s4", 14],
          ["s3", 13],
          ["s1", 11]
        ]
      )
      assert.deepStrictEqual(Object.keys(archived.sessions[0] ?? {}), Object.keys(current.sessions[0] ?? {}))
      assert.deepStrictEqual(idsOf(yield* list("/v2/sessions/archived", "a2")), ["s6"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("continue at the cursor, and refuse an invalid one", () =>
    Effect.gen(function* () {
      yield* five
      const first = yield* list("/v2/sessions/archived?limit=2")
      assert.deepStrictEqual([idsOf(first), first.hasNext, first.nextCursor], [["s4", "s3"], true, "cursor_v1_s3"])
      const second = yield* list("/v2/sessions/archived?limit=2&cursor=cursor_v1_s3")
      assert.deepStrictEqual([idsOf(second), second.hasNext, second.nextCursor], [["s1"], false, null])
      assert.deepStrictEqual<unknown>(yield* list("/v2/sessions/archived?cursor=s3"), {
        error: "Invalid cursor format"
      })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("without a cursor hold all", () =>
    Effect.gen(function* () {
      yield* five
      assert.sameMembers([...idsOf(yield* list("/v1/sessions"))], ["s1", "s2", "s3", "s4", "s5"])
    }).pipe(Effect.provide(layerWith()))
  )
})

describe("a file with the column of another happier light server", () => {
  const layer = layerWith().pipe(
    Layer.provide(Layer.succeed(SessionArchive.SessionArchive, SessionArchive.shared)),
    Layer.provide(Layer.succeed(TimeForm.TimeForm, TimeForm.iso))
  )

  const shared = Effect.tap(twoSessions, ({ sqlite }) => {
    sqlite.exec(`ALTER TABLE "Session" ADD COLUMN "archivedAt" DATETIME`)
  })

  const theirs = (database: Pick<TestDatabase["Type"], "query">) =>
    database.query(`SELECT "archivedAt" FROM "Session" WHERE "id" = 's1'`)[0]?.["archivedAt"]

  it.scoped("is read and written there, in the form of the file", () =>
    Effect.gen(function* () {
      const database = yield* shared
      const { archivedAt } = (yield* post("a1", "s1", "archive")).json<{ archivedAt: number }>()
      assert.strictEqual(theirs(database), TimeForm.iso.encode(archivedAt))
      assert.deepStrictEqual(kept(database), [])
      assert.strictEqual(yield* archivedAtOf("s1"), archivedAt)
      assert.deepStrictEqual(idsOf(yield* list("/v2/sessions/archived")), ["s1"])
      assert.deepStrictEqual(idsOf(yield* list("/v2/sessions")), [])
      // The other server takes it out.
      database.sqlite.exec(`UPDATE "Session" SET "archivedAt" = NULL`)
      assert.isNull(yield* archivedAtOf("s1"))
    }).pipe(Effect.provide(layer))
  )

  it.scoped("leaves the archive whole, whichever place it was in", () =>
    Effect.gen(function* () {
      const database = yield* shared
      database.sqlite.exec(`INSERT INTO "PresenceSessionArchive" VALUES ('s1', 11), ('s2', 12)`)
      assert.strictEqual(yield* archivedAtOf("s1"), 11)
      yield* post("a1", "s1", "archive")
      yield* post("a1", "s1", "unarchive")
      assert.isNull(theirs(database))
      assert.deepStrictEqual(kept(database), [{ sessionId: "s2", archivedAt: 12 }])
    }).pipe(Effect.provide(layer))
  )
})
