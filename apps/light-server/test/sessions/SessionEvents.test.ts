import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout } from "presence-effect/writer/WriterError"
import { PresenceProbe } from "../support/PresenceProbe.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, layerWith, TestServer, askHeld } from "../support/TestServer.ts"

const twoSessions = Effect.tap(TestDatabase, (database) => {
  for (const [accountId, id] of [
    ["a1", "s1"],
    ["a2", "s2"]
  ] as const) {
    database.addAccount(accountId)
    database.sqlite
      .prepare(
        `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
         VALUES (?, 't', ?, 'sealed', 5, 5, 5)`
      )
      .run(id, accountId)
  }
})

describe("SessionEvents", () => {
  describe("session-alive", () => {
    it.scoped("records a heartbeat and announces it to the apps of the account, not to the agent", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const foreign = yield* server.connect(app("a2"))
        const sender = yield* server.connect(agent("a1", "s1"))
        yield* watching.next("ephemeral")
        const time = Date.now() + 5
        sender.emit("session-alive", { sid: "s1", time, thinking: true, mode: "remote" })
        assert.deepStrictEqual(yield* watching.next("ephemeral"), {
          type: "activity",
          id: "s1",
          active: true,
          activeAt: time,
          thinking: true
        })
        assert.deepStrictEqual(yield* sender.rest("ephemeral"), [])
        assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
        assert.deepStrictEqual(probe.calls, ["connected session s1", "beat session s1"])
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("delivers heartbeats of several sessions that arrive together", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        for (let index = 0; index < 9; index++) {
          database.sqlite
            .prepare(
              `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
               VALUES (?, ?, 'a1', 'sealed', 5, 5, 5)`
            )
            .run(`n${index}`, `n${index}`)
        }
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        for (let round = 0; round < 2; round++) {
          for (let index = 0; index < 9; index++) mine.emit("session-alive", { sid: `n${index}`, time: Date.now() })
        }
        yield* mine.flush
        // The second heartbeat of each has no new content.
        assert.strictEqual((yield* mine.rest("ephemeral")).length, 9)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("has no effect for sessions of other accounts, unknown ones and bad payloads", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const time = Date.now()
        const payloads = [
          { sid: "s2", time },
          { sid: "s9", time },
          { sid: "s1" },
          { sid: "s1", time: null },
          { sid: 1, time },
          { sid: { $ne: "" }, time },
          null,
          0,
          []
        ]
        // At first the account of each row is read from the database, then from memory.
        for (let round = 0; round < 2; round++) {
          for (const payload of payloads) mine.emit("session-alive", payload)
          yield* mine.flush
        }
        assert.deepStrictEqual(yield* mine.rest("ephemeral"), [])
        assert.deepStrictEqual(probe.calls, [])
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )
  })

  describe("session-end", () => {
    it.scoped("ends the session and announces it to apps, even when the agent disconnects at once", () =>
      Effect.gen(function* () {
        yield* twoSessions
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const watching = yield* server.connect(app("a1"))
        const sender = yield* server.connect(agent("a1", "s1"))
        yield* watching.next("ephemeral")
        const time = Date.now() - 10
        sender.emit("session-end", { sid: "s1", time, exit: { code: 0 } })
        sender.socket.disconnect()
        const ephemeral = yield* watching.next("ephemeral")
        assert.deepStrictEqual(ephemeral, {
          type: "activity",
          id: "s1",
          active: false,
          activeAt: time,
          thinking: false
        })
        assert.include(probe.calls, "end session s1")
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("ignores the future time of an end", () =>
      Effect.gen(function* () {
        yield* twoSessions
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        mine.emit("session-end", { sid: "s1", time: Date.now() + 3_600_000 })
        const ephemeral = (yield* mine.next("ephemeral")) as { readonly activeAt: number }
        assert.isAtMost(ephemeral.activeAt, Date.now())
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("has no effect for sessions of other accounts, unknown ones and bad payloads", () =>
      Effect.gen(function* () {
        const database = yield* twoSessions
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const time = Date.now()
        for (const payload of [
          { sid: "s2", time },
          { sid: "s9", time },
          { sid: "s1" },
          { sid: "s1", time: -1 },
          { sid: "s1", time: "now" },
          { sid: "", time },
          null,
          []
        ]) {
          mine.emit("session-end", payload)
        }
        assert.deepStrictEqual(yield* mine.rest("ephemeral"), [])
        assert.deepStrictEqual(probe.calls, [])
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )
  })

  for (const [event, text, before] of [
    ["update-metadata", "metadata", "sealed"],
    ["update-state", "agentState", null]
  ] as const) {
    describe(event, () => {
      it.scoped("replaces the text and announces it to all recipients except the sender", () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const server = yield* TestServer
          const watching = yield* server.connect(app("a1"))
          const other = yield* server.connect(agent("a1", "s1"))
          const foreign = yield* server.connect(app("a2"))
          const sender = yield* server.connect(agent("a1", "s1"))
          const answer = yield* sender.ask(event, { sid: "s1", [text]: "new", expectedVersion: 0 })
          assert.deepStrictEqual(answer, { result: "success", version: 1, [text]: "new" })
          for (const client of [watching, other]) {
            const update = (yield* client.next("update")) as { readonly seq: number; readonly body: object }
            assert.strictEqual(update.seq, 1)
            assert.deepStrictEqual(update.body, {
              t: "update-session",
              id: "s1",
              sid: "s1",
              [text]: { value: "new", version: 1 }
            })
          }
          assert.deepStrictEqual(yield* sender.rest("update"), [])
          assert.deepStrictEqual(yield* foreign.rest("update"), [])
          assert.deepStrictEqual(
            database.query(`SELECT "${text}" AS value, "${text}Version" AS version FROM "Session" WHERE "id" = 's1'`),
            [{ value: "new", version: 1 }]
          )
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers the current value at another version", () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          const answer = yield* mine.ask(event, { sid: "s1", [text]: "new", expectedVersion: 4 })
          assert.deepStrictEqual(answer, { result: "version-mismatch", version: 0, [text]: before })
          assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 0 }])
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers forbidden for sessions of other accounts and unknown ones, without a write", () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          for (const sid of ["s2", "s9"]) {
            const answer = yield* mine.ask(event, { sid, [text]: "new", expectedVersion: 0 })
            assert.deepStrictEqual(answer, { result: "forbidden" })
          }
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers bad payloads with an error, and a write that cannot be done now when it is stored", () =>
        Effect.gen(function* () {
          const database = yield* twoSessions
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          for (const payload of [
            null,
            {},
            { sid: "s1", [text]: "new" },
            { sid: "s1", [text]: 5, expectedVersion: 0 },
            { sid: 1, [text]: "new", expectedVersion: 0 },
            { sid: "s1", [text]: "new", expectedVersion: "0" }
          ]) {
            assert.deepStrictEqual(yield* mine.ask(event, payload), { result: "error" })
          }
          database.nextWrite = { _tag: "Fail", error: new PermitTimeout({ lane: Lane.data, waitedMillis: 1500 }) }
          const answer = yield* askHeld(mine, event, { sid: "s1", [text]: "new", expectedVersion: 0 })
          assert.deepStrictEqual(answer, { result: "success", version: 1, [text]: "new" })
        }).pipe(Effect.provide(layerWith()))
      )
    })
  }

  it.scoped("clears the state of an agent with null", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      const answer = yield* mine.ask("update-state", { sid: "s1", agentState: null, expectedVersion: 0 })
      assert.deepStrictEqual(answer, { result: "success", version: 1, agentState: null })
    }).pipe(Effect.provide(layerWith()))
  )
})
