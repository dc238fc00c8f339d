import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { PermitTimeout, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import { ReadFailed } from "../../src/database/DatabaseReader.ts"
import * as Outbox from "../../src/entities/Outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 1000 })

const late = new PermitTimeout({ lane: Lane.control, waitedMillis: 1000 })

const created: Outbox.Announced = { accountId: "a1", change: { kind: "machine", id: "m1" }, mark: "created" }

const prepared = Effect.gen(function* () {
  const database = yield* TestDatabase.TestDatabase
  database.addAccount("a1")
  database.sqlite.exec(`UPDATE "Account" SET "seq" = 9;
    INSERT INTO "AccountChange" ("accountId", "kind", "entityId", "cursor", "changedAt")
      VALUES ('a1', 'machine', 'm1', 7, 1)`)
  const sent: Array<number> = []
  const send = (cursor: number) => void sent.push(cursor)
  const outbox = yield* Outbox.make
  const commit = (write: Effect.Effect<number, WriteUnconfirmed | PermitTimeout>, isStored = Effect.succeed(false)) =>
    Effect.either(outbox.commit(created, { write, isStored, send }))
  return { outbox, commit, database, send, sent }
})

describe("Outbox", () => {
  it.scoped("announces a write with its cursor, and looks nothing up", () =>
    Effect.gen(function* () {
      const { outbox, commit, database, send, sent } = yield* prepared
      const never = Effect.dieMessage("isStored must not run")
      assert.strictEqual((yield* commit(Effect.succeed(8), never))._tag, "Right")
      yield* outbox.settle(created, send)
      assert.deepStrictEqual(sent, [8])
      assert.strictEqual(database.readCount, 0)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("announces a write that was not confirmed and is there, under the cursor of the feed", () =>
    Effect.gen(function* () {
      const { commit, sent } = yield* prepared
      assert.strictEqual((yield* commit(unconfirmed, Effect.succeed(true)))._tag, "Right")
      assert.deepStrictEqual(sent, [7])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("takes the cursor of the account where the feed has none", () =>
    Effect.gen(function* () {
      const { outbox, send, sent } = yield* prepared
      const other: Outbox.Announced = { ...created, change: { kind: "session", id: "s1" } }
      yield* Effect.ignore(outbox.track(other, unconfirmed))
      yield* outbox.settle(other, send)
      assert.deepStrictEqual(sent, [9])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("keeps an unconfirmed change until it is found stored, and announces it once", () =>
    Effect.gen(function* () {
      const { outbox, commit, send, sent } = yield* prepared
      assert.isFalse(outbox.isUnconfirmed(created))
      assert.strictEqual((yield* commit(unconfirmed))._tag, "Left")
      assert.isTrue(outbox.isUnconfirmed(created))
      // A failure for another reason is still about the same change.
      assert.strictEqual((yield* commit(late))._tag, "Left")
      assert.deepStrictEqual(sent, [])
      yield* outbox.settle({ ...created, mark: "metadata 2" }, send)
      assert.deepStrictEqual(sent, [])
      yield* Effect.all([outbox.settle(created, send), outbox.settle(created, send)], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(sent, [7])
      assert.isFalse(outbox.isUnconfirmed(created))
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("checks whether a change is stored only while it is unconfirmed", () =>
    Effect.gen(function* () {
      const { commit, sent } = yield* prepared
      assert.strictEqual((yield* commit(late, Effect.succeed(true)))._tag, "Left")
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("forgets an unconfirmed change that is written after all", () =>
    Effect.gen(function* () {
      const { outbox, commit, send, sent } = yield* prepared
      yield* commit(unconfirmed)
      yield* commit(Effect.succeed(8))
      yield* outbox.settle(created, send)
      assert.deepStrictEqual(sent, [8])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("keeps the change unconfirmed, and fails as the write did, when the lookup fails", () =>
    Effect.gen(function* () {
      const { outbox, commit, database, send, sent } = yield* prepared
      database.nextReadFailure = new ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
      const outcome = yield* commit(unconfirmed, Effect.succeed(true))
      assert.strictEqual(outcome._tag === "Left" ? outcome.left._tag : "Right", "WriteUnconfirmed")
      assert.deepStrictEqual(sent, [])
      yield* outbox.settle(created, send)
      assert.deepStrictEqual(sent, [7])
    }).pipe(Effect.provide(TestDatabase.layer))
  )
})
