import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { DatabaseBusy, DatabaseCorrupt, PermitTimeout, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import * as PresenceProbe from "../support/PresenceProbe.ts"
import { addTwoSessions } from "proving/drivers/Rows"
import { TestDatabase } from "../support/TestDatabase.ts"
import { agent, app, askHeld, type Client, daemon, layerOver, layerWith, TestServer } from "../support/TestServer.ts"
import { valueOf } from "../support/Gauges.ts"
import { vi } from "vitest"

const twoSessions = Effect.tap(TestDatabase, addTwoSessions)

interface Ack {
  readonly ok: boolean
  readonly id: string
  readonly seq: number
  readonly localId: string | null
}

interface Update {
  readonly seq: number
  readonly body: { readonly message: { readonly seq: number; readonly localId: string | null } }
}

const oneTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

const held = (sender: Client, message: object) => askHeld(sender, "message", message)

const paused = () => Effect.runPromise(valueOf("websocket_paused"))

const stored = (database: TestDatabase["Type"]) =>
  database.query(`SELECT "seq", "localId" FROM "SessionMessage" ORDER BY "seq"`)

describe("MessageEvents", () => {
  it.scoped("stores a message, answers with its number, and announces it to all recipients except the sender", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const other = yield* server.connect(agent("a1", "s1"))
      const foreign = yield* server.connect(app("a2"))
      const sender = yield* server.connect(agent("a1", "s1"))
      const before = Date.now()
      const ack = (yield* sender.ask("message", { sid: "s1", message: "sealed", localId: "l1" })) as Ack
      assert.match(ack.id, /^c[a-z0-9]{24}$/)
      assert.deepStrictEqual(ack, { ok: true, id: ack.id, seq: 1, localId: "l1" })
      for (const client of [watching, other]) {
        const update = (yield* client.next("update")) as {
          readonly id: string
          readonly seq: number
          readonly createdAt: number
          readonly body: object & { readonly message: { readonly createdAt: number } }
        }
        assert.match(update.id, /^[A-Za-z0-9]{12}$/)
        const { createdAt } = update.body.message
        assert.isAtLeast(createdAt, before)
        assert.deepStrictEqual<unknown>(update, {
          id: update.id,
          seq: 1,
          createdAt: update.createdAt,
          body: {
            t: "new-message",
            id: "s1",
            sid: "s1",
            message: {
              id: ack.id,
              seq: 1,
              content: { t: "encrypted", c: "sealed" },
              localId: "l1",
              createdAt,
              updatedAt: createdAt
            }
          }
        })
      }
      assert.deepStrictEqual(yield* sender.rest("update"), [])
      assert.deepStrictEqual(yield* foreign.rest("update"), [])
      assert.deepStrictEqual(database.writes, [Lane.data])
      const [row] = database.query(`SELECT "content", "createdAt", "updatedAt" FROM "SessionMessage"`)
      assert.strictEqual(row?.["content"], `{"t":"encrypted","c":"sealed"}`)
      assert.deepStrictEqual(database.query(`SELECT "seq", "updatedAt" FROM "Session" WHERE "id" = 's1'`), [
        { seq: 1, updatedAt: row?.["createdAt"] }
      ])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces it to the sender too when it asks for an echo, and needs no ack", () =>
    Effect.gen(function* () {
      yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      sender.emit("message", { sid: "s1", message: "sealed", echoToSender: true })
      const update = (yield* sender.next("update")) as Update
      assert.deepInclude<object>(update.body, { t: "new-message", sid: "s1" })
      assert.isNull(update.body.message.localId)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("does not announce it to the machines of the account", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      database.sqlite.exec(
        `INSERT INTO "Machine" ("id", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
         VALUES ('m1', 'a1', 'sealed', 5, 5, 5)`
      )
      const server = yield* TestServer
      const machine = yield* server.connect(daemon("a1", "m1"))
      const sender = yield* server.connect(app("a1"))
      yield* sender.ask("message", { sid: "s1", message: "sealed" })
      assert.deepStrictEqual(yield* machine.rest("update"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers a repeated local id with the stored message: no second row, no second update", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const sender = yield* server.connect(agent("a1", "s1"))
      const first = yield* sender.ask("message", { sid: "s1", message: "sealed", localId: "l1" })
      yield* watching.next("update")
      for (const again of [sender, watching]) {
        const second = yield* again.ask("message", { sid: "s1", message: "another", localId: "l1", echoToSender: true })
        assert.deepStrictEqual(second, first)
      }
      assert.deepStrictEqual(yield* watching.rest("update"), [])
      assert.deepStrictEqual(yield* sender.rest("update"), [])
      assert.deepStrictEqual(stored(database), [{ seq: 1, localId: "l1" }])
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 1 }])
      assert.deepInclude((yield* sender.ask("message", { sid: "s1", message: "next" })) as Ack, { seq: 2 })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("keeps the local ids of sessions apart, and messages without one", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const one = yield* server.connect(app("a1"))
      const two = yield* server.connect(app("a2"))
      assert.deepInclude(yield* one.ask("message", { sid: "s1", message: "m", localId: "l" }), { ok: true, seq: 1 })
      assert.deepInclude(yield* two.ask("message", { sid: "s2", message: "m", localId: "l" }), { ok: true, seq: 1 })
      for (const localId of [undefined, null, ""]) {
        const ack = yield* one.ask("message", { sid: "s1", message: "m", localId })
        assert.deepInclude(ack, { ok: true, localId: null })
      }
      assert.strictEqual(stored(database).length, 5)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers a repeated local id even when nothing can be written, and holds the first one", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      const busy = new DatabaseBusy({ lane: Lane.data, code: "SQLITE_BUSY", attempts: 9 })
      const message = { sid: "s1", message: "sealed", localId: "l1" }
      database.nextWrite = { _tag: "Fail", error: busy }
      const ack = yield* held(sender, message)
      assert.deepInclude(ack as object, { ok: true, seq: 1 })
      database.nextWrite = { _tag: "Fail", error: busy }
      assert.deepStrictEqual(yield* sender.ask("message", message), ack)
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces a message whose write was not confirmed, once it is found", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const sender = yield* server.connect(agent("a1", "s1"))
      const message = { sid: "s1", message: "sealed", localId: "l1" }
      const error = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 1000 })
      database.nextWrite = { _tag: "Lost", error }
      const ack = (yield* sender.ask("message", message)) as Ack
      assert.deepInclude(ack, { ok: true, seq: 1, localId: "l1" })
      const update = (yield* watching.next("update")) as Update
      assert.deepStrictEqual([update.seq, update.body.message.localId], [1, "l1"])
      assert.deepStrictEqual(yield* sender.ask("message", message), ack)
      assert.deepStrictEqual(yield* watching.rest("update"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("announces a message that is committed late, once it is sent again", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const sender = yield* server.connect(agent("a1", "s1"))
      const message = { sid: "s1", message: "sealed", localId: "l1" }
      const error = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 1000 })
      let commit: Effect.Effect<void> = Effect.void
      database.nextWrite = { _tag: "Late", error, hold: (effect) => void (commit = effect) }
      const asked = yield* Effect.fork(sender.ask("message", message))
      yield* Effect.yieldNow()
      yield* sender.flush
      yield* commit
      yield* TestClock.adjust("1 second")
      const ack = (yield* Fiber.join(asked)) as Ack
      assert.deepInclude(ack, { ok: true, seq: 1, localId: "l1" })
      assert.deepInclude((yield* watching.next("update")) as object, { seq: 1 })
      assert.deepStrictEqual(yield* sender.ask("message", message), ack)
      assert.deepStrictEqual(yield* watching.rest("update"), [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers one error for missing and foreign sessions, and writes nothing", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      for (const sid of ["s2", "s9"]) {
        const ack = yield* sender.ask("message", { sid, message: "sealed", localId: "l" })
        assert.deepStrictEqual(ack, { ok: false, error: "session-not-found" })
      }
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("notices that a session is gone which was there a moment ago", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      database.nextWrite = {
        _tag: "Before",
        run: () => database.sqlite.exec(`DELETE FROM "Session" WHERE "id" = 's1'`)
      }
      const ack = yield* sender.ask("message", { sid: "s1", message: "sealed", localId: "l" })
      assert.deepStrictEqual(ack, { ok: false, error: "session-not-found" })
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 0 }])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers bad payloads with invalid-params", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      for (const payload of [
        null,
        [],
        "s1",
        {},
        { sid: "s1" },
        { message: "sealed" },
        { sid: "s1", message: "" },
        { sid: "s1", message: 5 },
        { sid: "s1", message: { t: "encrypted", c: "x" } },
        { sid: "", message: "sealed" },
        { sid: 1, message: "sealed" },
        { sid: "s1", message: "sealed", localId: 5 },
        { sid: "s1", message: "sealed", localId: "l".repeat(257) },
        { sid: "s1", message: "sealed", echoToSender: "yes" }
      ]) {
        assert.deepStrictEqual(yield* sender.ask("message", payload), { ok: false, error: "invalid-params" })
      }
      assert.deepStrictEqual(yield* sender.ask("message"), { ok: false, error: "invalid-params" })
      assert.deepStrictEqual(database.writes, [])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers nothing while a write or a read cannot be done now, and the message once it is stored", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
      assert.deepInclude((yield* held(sender, { sid: "s1", message: "sealed" })) as object, { ok: true, seq: 1 })
      database.nextWrite = { _tag: "Fail", error: new PermitTimeout({ lane: Lane.data, waitedMillis: 1500 }) }
      assert.deepInclude((yield* held(sender, { sid: "s1", message: "sealed" })) as object, { ok: true, seq: 2 })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("answers internal when the write can never be done", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const sender = yield* (yield* TestServer).connect(app("a1"))
      const error = new DatabaseCorrupt({ lane: Lane.data, code: "SQLITE_CORRUPT", detail: "test" })
      database.nextWrite = { _tag: "Fail", error }
      assert.deepStrictEqual(yield* sender.ask("message", { sid: "s1", message: "sealed" }), {
        ok: false,
        error: "internal"
      })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("stores a message without a local id once, also when its first write was not confirmed", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const sender = yield* server.connect(agent("a1", "s1"))
      const error = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 1000 })
      let commit: Effect.Effect<void> = Effect.void
      database.nextWrite = { _tag: "Late", error, hold: (effect) => void (commit = effect) }
      sender.emit("message", { sid: "s1", message: "sealed" })
      yield* sender.flush
      yield* commit
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* watching.next("update")) as object, { seq: 1 })
      yield* sender.flush
      assert.deepStrictEqual(yield* watching.rest("update"), [])
      assert.deepStrictEqual(stored(database), [{ seq: 1, localId: null }])
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("stores a burst in order and loses none of it, without acks and beyond every budget", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const sender = yield* server.connect(app("a1"))
      const gate = yield* Deferred.make<void>()
      database.nextWrite = { _tag: "After", gate: Deferred.await(gate) }
      const text = "x".repeat(1000)
      for (const index of oneTo(1000)) {
        sender.emit("message", { sid: "s1", message: `${index} ${text}`, localId: `l${index}` })
      }
      // What waits is limited: the rest is still at the client, or under way.
      yield* Effect.promise(() => vi.waitFor(async () => assert.strictEqual(await paused(), 1), { timeout: 15_000 }))
      assert.isBelow(yield* valueOf("websocket_intake_bytes"), 500_000)
      assert.strictEqual(database.writes.length, 1)
      yield* Deferred.succeed(gate, undefined)
      yield* sender.flush
      const last = (yield* sender.ask("message", { sid: "s1", message: "last", localId: "last" })) as Ack
      assert.deepInclude(last, { ok: true, seq: 1001 })
      assert.deepStrictEqual(
        stored(database).map(({ localId }) => localId),
        [...oneTo(1000).map((index) => `l${index}`), "last"]
      )
      // Those that waited shared writes.
      assert.isBelow(database.writes.length, 970)
    }).pipe(Effect.provide(layerWith({ intakeBytesMax: 100_000, eventBurst: 100 })))
  )

  it.scoped("answers each of a burst, and those that cannot be stored one by one", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const sender = yield* (yield* TestServer).connect(app("a1"))
      const ask = (sid: string, localId: string) => sender.ask("message", { sid, message: "sealed", localId })
      const acks = yield* Effect.all(
        [ask("s1", "l1"), ask("s1", "l2"), ask("s9", "l3"), ask("s1", "l2"), ask("s1", "l4")],
        {
          concurrency: "unbounded"
        }
      )
      const seqs = (acks as ReadonlyArray<Ack>).map(({ ok, seq }) => (ok ? seq : "refused"))
      assert.deepStrictEqual(seqs, [1, 2, "refused", 2, 3])
      assert.deepStrictEqual(
        stored(database).map(({ localId }) => localId),
        ["l1", "l2", "l4"]
      )
    }).pipe(Effect.provide(layerWith()))
  )

  it.scoped("lets the messages of another socket pass one that waits", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const server = yield* TestServer
      const slow = yield* server.connect(app("a1"))
      const quick = yield* server.connect(app("a1"))
      const gate = yield* Deferred.make<void>()
      database.nextWrite = { _tag: "After", gate: Deferred.await(gate) }
      const waiting = yield* Effect.fork(slow.ask("message", { sid: "s1", message: "sealed" }))
      yield* Effect.yieldNow()
      yield* slow.flush
      assert.deepInclude((yield* quick.ask("message", { sid: "s1", message: "sealed" })) as Ack, { seq: 1 })
      yield* Deferred.succeed(gate, undefined)
      assert.deepInclude((yield* Fiber.join(waiting)) as Ack, { seq: 2 })
    }).pipe(Effect.provide(layerWith()))
  )

  it.scopedLive("numbers 100 messages of four sockets from 1 to 100, those of each socket in its order", () =>
    Effect.gen(function* () {
      const database = yield* Effect.tap(FileDatabase.FileDatabase, addTwoSessions)
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const senders = yield* Effect.forEach([1, 2, 3, 4], () => server.connect(agent("a1", "s1")))
      const acks = (yield* Effect.forEach(
        oneTo(100),
        (index) => {
          const number = index % 4
          const sender = senders[number] ?? watching
          return sender.ask("message", { sid: "s1", message: "sealed", localId: `${number}-${index}` })
        },
        { concurrency: "unbounded" }
      )) as ReadonlyArray<Ack>
      assert.sameMembers(
        acks.map(({ seq }) => seq),
        oneTo(100)
      )
      for (const number of [0, 1, 2, 3]) {
        const seqs = acks.filter((_, index) => (index + 1) % 4 === number).map(({ seq }) => seq)
        assert.sameOrderedMembers(
          seqs,
          seqs.toSorted((a, b) => a - b)
        )
      }
      const updates: Array<Update> = []
      while (updates.length < 100) updates.push((yield* watching.next("update")) as Update)
      assert.sameMembers(
        updates.map(({ seq }) => seq),
        oneTo(100)
      )
      for (const { seq, body } of updates) assert.strictEqual(seq, body.message.seq)
      assert.deepStrictEqual(
        database.query(`SELECT "seq" FROM "SessionMessage" ORDER BY "seq"`).map(({ seq }) => seq),
        oneTo(100)
      )
    }).pipe(Effect.provide(layerOver(Layer.merge(FileDatabase.layer, PresenceProbe.layer))))
  )

  it.scopedLive("stores one message of many that are sent at once under one local id", () =>
    Effect.gen(function* () {
      const database = yield* Effect.tap(FileDatabase.FileDatabase, addTwoSessions)
      const server = yield* TestServer
      const watching = yield* server.connect(app("a1"))
      const senders = yield* Effect.forEach(oneTo(8), () => server.connect(agent("a1", "s1")))
      const acks = yield* Effect.forEach(
        senders,
        (sender) => sender.ask("message", { sid: "s1", message: "sealed", localId: "same" }),
        { concurrency: "unbounded" }
      )
      assert.deepInclude(acks[0], { ok: true, seq: 1, localId: "same" })
      for (const ack of acks) assert.deepStrictEqual(ack, acks[0])
      yield* watching.next("update")
      assert.deepStrictEqual(yield* watching.rest("update"), [])
      assert.strictEqual(database.query(`SELECT 1 FROM "SessionMessage"`).length, 1)
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Session" WHERE "id" = 's1'`), [{ seq: 1 }])
    }).pipe(Effect.provide(layerOver(Layer.merge(FileDatabase.layer, PresenceProbe.layer))))
  )
})
