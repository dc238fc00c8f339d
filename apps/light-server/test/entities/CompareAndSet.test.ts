import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { WriteConflict, type WriterError, WriteUnconfirmed } from "presence-effect/writer/WriterError"
import * as CompareAndSet from "../../src/entities/CompareAndSet.ts"
import * as Outbox from "../../src/entities/Outbox.ts"
import { NotFound } from "../../src/Failure.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

interface Row {
  readonly a: string | null
  readonly aVersion: number
  readonly b: string | null
  readonly bVersion: number
}

const before: Row = { a: "old", aVersion: 3, b: "older", bVersion: 0 }

const after: Row = { a: "new", aVersion: 4, b: null, bVersion: 1 }

const conflict = (statement: number) => new WriteConflict({ lane: Lane.data, statement, expected: 1, changed: 0 })

const unconfirmed = new WriteUnconfirmed({ lane: Lane.data, reason: "hold-limit", heldMillis: 1000 })

const missing = new NotFound({ what: "Row" })

/** A row in memory, and what was announced about it. */
const prepared = Effect.gen(function* () {
  const database = yield* TestDatabase.TestDatabase
  database.addAccount("a1")
  const outbox = yield* Outbox.make
  const sent: Array<unknown> = []
  const run = (
    write: Effect.Effect<number, WriterError>,
    row: Row | null = before,
    authorize: Effect.Effect<void, NotFound> = Effect.void
  ) =>
    CompareAndSet.run({
      outbox,
      accountId: "a1",
      change: { kind: "session", id: "s1" },
      changes: [
        { text: "a", value: "new", expectedVersion: 3 },
        { text: "b", value: null, expectedVersion: 0 }
      ],
      authorize,
      write,
      find: Effect.succeed(Option.fromNullable(row)),
      require: Option.match({ onNone: () => Effect.fail(missing), onSome: (found: Row) => Effect.succeed(found) }),
      send: (texts, cursor) => void sent.push({ texts, cursor })
    })
  return { run, sent }
})

const replaced = [
  { text: "a", value: "new", version: 4 },
  { text: "b", value: null, version: 1 }
] as const

describe("CompareAndSet", () => {
  it.scoped("answers with the new texts, and announces them under the cursor of the write", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      assert.deepStrictEqual(yield* run(Effect.succeed(8)), { _tag: "Replaced", texts: replaced })
      assert.deepStrictEqual(sent, [{ texts: replaced, cursor: 8 }])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("answers a mismatch with the current texts, and announces nothing", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      const texts = [
        { text: "a", value: "old", version: 3 },
        { text: "b", value: "older", version: 0 }
      ] as const
      assert.deepStrictEqual(yield* run(Effect.fail(conflict(1))), { _tag: "VersionMismatch", texts })
      assert.deepStrictEqual(sent, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("distinguishes a missing account from a missing row", () =>
    Effect.gen(function* () {
      const { run } = yield* prepared
      assert.strictEqual((yield* Effect.flip(run(Effect.fail(conflict(0)))))._tag, "Unauthorized")
      assert.strictEqual((yield* Effect.flip(run(Effect.fail(conflict(1)), null)))._tag, "NotFound")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("succeeds after an unconfirmed write only when every text is stored", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      const half: Row = { ...after, b: "other" }
      for (const row of [before, half, { ...after, aVersion: 5 }]) {
        assert.strictEqual((yield* Effect.flip(run(Effect.fail(unconfirmed), row)))._tag, "WriteUnconfirmed")
      }
      assert.deepStrictEqual(sent, [])
      assert.strictEqual((yield* run(Effect.fail(unconfirmed), after))._tag, "Replaced")
      assert.strictEqual(sent.length, 1)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("writes nothing when the entity is not the account's own", () =>
    Effect.gen(function* () {
      const { run } = yield* prepared
      const never = Effect.dieMessage("the write must not run")
      assert.strictEqual((yield* Effect.flip(run(never, before, Effect.fail(missing))))._tag, "NotFound")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("writes and announces although the client disconnects", () =>
    Effect.gen(function* () {
      const { run, sent } = yield* prepared
      const authorized = yield* Deferred.make<void>()
      const written = yield* Deferred.make<number>()
      const isAsked = yield* Deferred.make<void>()
      const authorize = Effect.zipRight(Deferred.succeed(isAsked, undefined), Deferred.await(authorized))
      const fiber = yield* Effect.fork(run(Deferred.await(written), before, authorize))
      yield* Deferred.await(isAsked)
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(authorized, undefined)
      yield* Deferred.succeed(written, 8)
      yield* Fiber.join(interruption)
      assert.strictEqual(sent.length, 1)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it("makes the ack of an event that replaces one text", () => {
    const [text] = replaced
    assert.deepStrictEqual(CompareAndSet.ackOf({ _tag: "Replaced", texts: [text] }), {
      result: "success",
      version: 4,
      a: "new"
    })
    assert.deepStrictEqual(CompareAndSet.ackOf({ _tag: "VersionMismatch", texts: [text] }), {
      result: "version-mismatch",
      version: 4,
      a: "new"
    })
  })
})
