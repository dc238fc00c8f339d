import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { WriteConflict, type WriterError, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import * as FindOrCreate from "../../src/entities/FindOrCreate.ts"
import * as Outbox from "../../src/entities/Outbox.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

interface Row {
  readonly id: string
  readonly text: string
}

const conflict = (statement: number) => new WriteConflict({ lane: Lane.control, statement, expected: 1, changed: 0 })

const unconfirmed = new WriteUnconfirmed({ lane: Lane.control, reason: "hold-limit", heldMillis: 1000 })

/** At most one row in memory, and what was announced about it. */
const prepared = Effect.gen(function* () {
  const database = yield* TestDatabase.TestDatabase
  database.addAccount("a1")
  const outbox = yield* Outbox.make
  const table = { row: Option.none<Row>(), made: 0 }
  const sent: Array<string> = []
  const run = (insert: (row: Row) => Effect.Effect<number, WriterError>, isOwn = true) =>
    FindOrCreate.run<Row>({
      outbox,
      find: Effect.sync(() => table.row),
      make: () => {
        table.made += 1
        return { id: "s1", text: `made ${table.made}` }
      },
      changeOf: ({ id }) => ({ accountId: "a1", change: { kind: "session", id } }),
      insert,
      isStored: () => Effect.sync(() => Option.isSome(table.row)),
      send: ({ text }, cursor) => void sent.push(`${text} at ${cursor}`),
      isOwn: () => isOwn
    })
  return { database, run, sent, table }
})

describe("FindOrCreate", () => {
  it.scoped("creates a row that is not there, and announces it", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      assert.deepStrictEqual(yield* run(() => Effect.succeed(8)), { id: "s1", text: "made 1" })
      assert.deepStrictEqual(sent, ["made 1 at 8"])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("returns a known row without a write or an announcement", () =>
    Effect.gen(function* () {
      const { run, sent, table } = yield* prepared
      table.row = Option.some({ id: "s1", text: "known" })
      const row = yield* run(() => Effect.dieMessage("the write must not run"))
      assert.strictEqual(row.text, "known")
      assert.strictEqual(table.made, 0)
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("returns the row of the request that was faster", () =>
    Effect.gen(function* () {
      const { run, sent, table } = yield* prepared
      const row = yield* run(() =>
        Effect.suspend(() => {
          table.row = Option.some({ id: "s1", text: "of the other" })
          return Effect.fail(conflict(1))
        })
      )
      assert.strictEqual(row.text, "of the other")
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("fails when the account is gone, and when the other row is gone again", () =>
    Effect.gen(function* () {
      const { run } = yield* prepared
      assert.strictEqual((yield* Effect.flip(run(() => Effect.fail(conflict(0)))))._tag, "Unauthorized")
      assert.strictEqual((yield* Effect.flip(run(() => Effect.fail(conflict(1)))))._tag, "WriteConflict")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("announces a row of an unconfirmed write when it is found, once", () =>
    Effect.gen(function* () {
      const { database, run, sent, table } = yield* prepared
      database.sqlite.exec(`UPDATE "Account" SET "seq" = 9`)
      assert.strictEqual((yield* Effect.flip(run(() => Effect.fail(unconfirmed))))._tag, "WriteUnconfirmed")
      assert.deepStrictEqual(sent, [])
      table.row = Option.some({ id: "s1", text: "late" })
      yield* run(() => Effect.dieMessage("the write must not run"))
      yield* run(() => Effect.dieMessage("the write must not run"))
      assert.deepStrictEqual(sent, ["late at 9"])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("announces nothing about a row that the request could not have created", () =>
    Effect.gen(function* () {
      const { run, sent, table } = yield* prepared
      yield* Effect.flip(run(() => Effect.fail(unconfirmed)))
      table.row = Option.some({ id: "s1", text: "of another account" })
      yield* run(() => Effect.dieMessage("the write must not run"), false)
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("writes and announces although the client disconnects", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      const isWriting = yield* Deferred.make<void>()
      const written = yield* Deferred.make<number>()
      const fiber = yield* Effect.fork(
        run(() => Effect.zipRight(Deferred.succeed(isWriting, undefined), Deferred.await(written)))
      )
      yield* Deferred.await(isWriting)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(written, 8)
      yield* Fiber.join(interruption)
      assert.deepStrictEqual(sent, ["made 1 at 8"])
    }).pipe(Effect.provide(TestDatabase.layer))
  )
})
