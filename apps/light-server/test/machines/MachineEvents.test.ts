import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout, WriteRejected, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import { PresenceProbe } from "../support/PresenceProbe.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { app, daemon, layerWith, TestServer, askHeld } from "../support/TestServer.ts"

const addMachine = (database: TestDatabase["Type"], accountId: string, id: string) => {
  database.sqlite
    .prepare(
      `INSERT INTO "Machine"
         ("id", "accountId", "metadata", "metadataVersion", "active", "lastActiveAt", "createdAt", "updatedAt")
       VALUES (?, ?, 'sealed', 1, 0, 5, 5, 5)`
    )
    .run(id, accountId)
}

const unconfirmed = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 500 })

const twoMachines = Effect.tap(TestDatabase, (database) => {
  database.addAccount("a1")
  database.addAccount("a2")
  addMachine(database, "a1", "m1")
  addMachine(database, "a2", "m2")
})

describe("MachineEvents", () => {
  describe("machine-alive", () => {
    it.scoped("records a heartbeat without a write and announces it to the apps of the account", () =>
      Effect.gen(function* () {
        const database = yield* twoMachines
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const foreign = yield* server.connect(app("a2"))
        const time = Date.now()
        mine.emit("machine-alive", { machineId: "m1", time })
        assert.deepStrictEqual(yield* mine.next("ephemeral"), {
          type: "machine-activity",
          id: "m1",
          active: true,
          activeAt: time
        })
        assert.deepStrictEqual(probe.calls, ["beat machine m1"])
        assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("asks the database once for two heartbeats", () =>
      Effect.gen(function* () {
        const database = yield* twoMachines
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        mine.emit("machine-alive", { machineId: "m1", time: Date.now() })
        yield* mine.next("ephemeral")
        const readCount = database.readCount
        yield* TestClock.adjust("1 second")
        mine.emit("machine-alive", { machineId: "m1", time: Date.now() })
        yield* mine.next("ephemeral")
        assert.strictEqual(database.readCount, readCount)
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("has no effect for machines of other accounts, unknown ones and bad payloads", () =>
      Effect.gen(function* () {
        const database = yield* twoMachines
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        const foreign = yield* server.connect(app("a2"))
        const time = Date.now()
        const payloads = [
          { machineId: "m2", time },
          { machineId: "m9", time },
          { machineId: "m1" },
          { machineId: "m1", time: "now" },
          { machineId: "", time },
          { machineId: "m".repeat(129), time },
          { time },
          null,
          "m1",
          [],
          undefined
        ]
        // At first the account of each row is read from the database, then from memory.
        for (let round = 0; round < 2; round++) {
          for (const payload of payloads) mine.emit("machine-alive", payload)
          yield* mine.flush
        }
        mine.emit("machine-alive")
        yield* mine.flush
        assert.deepStrictEqual(yield* mine.rest("ephemeral"), [])
        assert.deepStrictEqual(yield* foreign.rest("ephemeral"), [])
        assert.deepStrictEqual(probe.calls, [])
        assert.deepStrictEqual(database.writes, [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("stays silent for a heartbeat that presence ignores", () =>
      Effect.gen(function* () {
        yield* twoMachines
        const probe = yield* PresenceProbe
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        for (const outcome of ["invalid", "ancient", "ended", "foreign", "full"] as const) {
          probe.outcome = outcome
          mine.emit("machine-alive", { machineId: "m1", time: 1 })
          yield* mine.flush
        }
        assert.deepStrictEqual(yield* mine.rest("ephemeral"), [])
      }).pipe(Effect.provide(layerWith()))
    )

    it.scoped("loses only one heartbeat to a read that fails", () =>
      Effect.gen(function* () {
        const database = yield* twoMachines
        const server = yield* TestServer
        const mine = yield* server.connect(app("a1"))
        database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
        mine.emit("machine-alive", { machineId: "m1", time: 7 })
        mine.emit("machine-alive", { machineId: "m1", time: 8 })
        const ephemeral = (yield* mine.next("ephemeral")) as { readonly activeAt: number }
        assert.strictEqual(ephemeral.activeAt, 8)
      }).pipe(Effect.provide(layerWith()))
    )
  })

  for (const [event, text, version, mismatched] of [
    ["machine-update-metadata", "metadata", 1, "sealed"],
    ["machine-update-state", "daemonState", 0, null]
  ] as const) {
    describe(event, () => {
      it.scoped("replaces the text and announces it to apps, the machine and the sender", () =>
        Effect.gen(function* () {
          const database = yield* twoMachines
          const server = yield* TestServer
          const watching = yield* server.connect(app("a1"))
          const sender = yield* server.connect(daemon("a1", "m1"))
          const answer = yield* sender.ask(event, { machineId: "m1", [text]: "new", expectedVersion: version })
          assert.deepStrictEqual(answer, { result: "success", version: version + 1, [text]: "new" })
          for (const client of [watching, sender]) {
            const update = (yield* client.next("update")) as { readonly seq: number; readonly body: object }
            assert.strictEqual(update.seq, 1)
            assert.deepInclude(update.body, {
              t: "update-machine",
              machineId: "m1",
              [text]: { value: "new", version: version + 1 }
            })
          }
          assert.deepStrictEqual(
            database.query(`SELECT "${text}" AS value, "${text}Version" AS version FROM "Machine" WHERE "id" = 'm1'`),
            [{ value: "new", version: version + 1 }]
          )
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers the current value at another version, and writes nothing", () =>
        Effect.gen(function* () {
          const database = yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          const answer = yield* mine.ask(event, { machineId: "m1", [text]: "new", expectedVersion: 7 })
          assert.deepStrictEqual(answer, { result: "version-mismatch", version, [text]: mismatched })
          assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 0 }])
          assert.deepStrictEqual(yield* mine.rest("update"), [])
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("lets one of two writers win", () =>
        Effect.gen(function* () {
          yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          const answers = (yield* Effect.all(
            ["x", "y"].map((value) => mine.ask(event, { machineId: "m1", [text]: value, expectedVersion: version })),
            { concurrency: "unbounded" }
          )) as ReadonlyArray<{ readonly result: string; readonly version: number }>
          assert.sameMembers(
            answers.map(({ result }) => result),
            ["success", "version-mismatch"]
          )
          assert.deepStrictEqual(
            answers.map((answer) => answer.version),
            [version + 1, version + 1]
          )
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("refuses machines of other accounts and unknown ones without a write", () =>
        Effect.gen(function* () {
          const database = yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          for (const machineId of ["m2", "m9"]) {
            const answer = yield* mine.ask(event, { machineId, [text]: "new", expectedVersion: version })
            assert.deepStrictEqual(answer, { result: "error", message: "Machine not found" })
          }
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers bad payloads with an error", () =>
        Effect.gen(function* () {
          const database = yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          for (const payload of [
            {},
            null,
            [],
            "m1",
            { machineId: "m1", [text]: "new" },
            { machineId: "m1", [text]: "new", expectedVersion: -1 },
            { machineId: "m1", [text]: "new", expectedVersion: 1.5 },
            { machineId: "m1", [text]: 5, expectedVersion: version },
            { machineId: 1, [text]: "new", expectedVersion: version }
          ]) {
            assert.deepStrictEqual(yield* mine.ask(event, payload), { result: "error", message: "Invalid parameters" })
          }
          assert.deepStrictEqual(yield* mine.ask(event), { result: "error", message: "Invalid parameters" })
          assert.deepStrictEqual(database.writes, [])
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("answers when it is stored, if the write cannot be done now, and an error if it never can", () =>
        Effect.gen(function* () {
          const database = yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          database.nextWrite = { _tag: "Fail", error: new PermitTimeout({ lane: Lane.data, waitedMillis: 1500 }) }
          const change = { machineId: "m1", [text]: "new", expectedVersion: version }
          assert.deepInclude((yield* askHeld(mine, event, change)) as object, { result: "success" })
          const error = new WriteRejected({ lane: Lane.data, code: "SQLITE_CONSTRAINT", detail: "test" })
          database.nextWrite = { _tag: "Fail", error }
          const answer = yield* mine.ask(event, { ...change, expectedVersion: version + 1 })
          assert.deepStrictEqual(answer, { result: "error", message: "Internal error" })
        }).pipe(Effect.provide(layerWith()))
      )

      it.scoped("needs no ack", () =>
        Effect.gen(function* () {
          yield* twoMachines
          const server = yield* TestServer
          const mine = yield* server.connect(app("a1"))
          mine.emit(event, { machineId: "m1", [text]: "new", expectedVersion: version })
          yield* mine.next("update")
        }).pipe(Effect.provide(layerWith()))
      )
    })
  }

  it.scoped("counts a state update as a sign of life, and a metadata update not", () =>
    Effect.gen(function* () {
      yield* twoMachines
      const probe = yield* PresenceProbe
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      yield* mine.ask("machine-update-metadata", { machineId: "m1", metadata: "new", expectedVersion: 1 })
      assert.deepStrictEqual(probe.calls, [])
      yield* mine.ask("machine-update-state", { machineId: "m1", daemonState: "new", expectedVersion: 0 })
      assert.deepStrictEqual(probe.calls, ["beat machine m1"])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces a text whose write was not confirmed once it is found: at once, or when it is sent again", () =>
    Effect.gen(function* () {
      const database = yield* twoMachines
      const server = yield* TestServer
      const mine = yield* server.connect(app("a1"))
      const replaced = { result: "success", version: 2, metadata: "two" }
      database.nextWrite = { _tag: "Lost", error: unconfirmed }
      const two = { machineId: "m1", metadata: "two", expectedVersion: 1 }
      assert.deepStrictEqual(yield* mine.ask("machine-update-metadata", two), replaced)
      assert.deepInclude((yield* mine.next("update")) as object, { seq: 1 })

      let commit: Effect.Effect<void> = Effect.void
      database.nextWrite = { _tag: "Late", error: unconfirmed, hold: (effect) => void (commit = effect) }
      const three = { machineId: "m1", metadata: "three", expectedVersion: 2 }
      const asked = yield* Effect.fork(mine.ask("machine-update-metadata", three))
      yield* Effect.yieldNow()
      yield* mine.flush
      yield* commit
      assert.deepStrictEqual(yield* mine.rest("update"), [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(asked), { result: "success", version: 3, metadata: "three" })
      const other = yield* mine.ask("machine-update-metadata", { ...three, metadata: "other" })
      assert.deepStrictEqual(other, { result: "version-mismatch", version: 3, metadata: "three" })
      const update = (yield* mine.next("update")) as { readonly seq: number; readonly body: object }
      assert.deepStrictEqual(update.body, {
        t: "update-machine",
        machineId: "m1",
        metadata: { value: "three", version: 3 }
      })
      assert.strictEqual(update.seq, 2)
    }).pipe(Effect.provide(layerWith()))
  )
})
