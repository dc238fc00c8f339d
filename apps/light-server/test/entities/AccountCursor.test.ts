import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { WriteConflict } from "presence-effect/writer/WriterError"
import * as AccountCursor from "../../src/entities/AccountCursor.ts"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"
import * as TestDatabase from "../support/TestDatabase.ts"

const touch = Write.statement(`UPDATE "Session" SET "updatedAt" = 9 WHERE "id" = 's1'`, [], { changes: 1 })

const change = (accountId: string, change: AccountCursor.Change, changedAt = 7) =>
  Effect.flatMap(Writer, (writer) =>
    writer.write(Lane.control, AccountCursor.numbered({ accountId, change, changedAt })(touch))
  )

const feed = Effect.map(TestDatabase.TestDatabase, ({ query }) =>
  query(`SELECT "kind", "entityId", "cursor", "hint", "sessionId" FROM "AccountChange" ORDER BY "cursor"`)
)

const twoSessions = Effect.tap(TestDatabase.TestDatabase, addTwoSessions)

describe("AccountCursor", () => {
  it.scoped("numbers changes of one account from 1 on, and returns the number with the result", () =>
    Effect.gen(function* () {
      yield* twoSessions
      for (const cursor of [1, 2, 3]) {
        const [taken, result] = yield* change("a1", { kind: "account" })
        assert.deepStrictEqual([taken, result.changes], [cursor, 1])
      }
      const [other] = yield* change("a2", { kind: "account" })
      assert.strictEqual(other, 1)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("keeps one line per entity, under the newest number", () =>
    Effect.gen(function* () {
      yield* twoSessions
      yield* change("a1", { kind: "session", id: "s1" })
      yield* change("a1", { kind: "account" })
      yield* change("a1", { kind: "session", id: "s1" })
      assert.deepStrictEqual(yield* feed, [
        { kind: "account", entityId: "self", cursor: 2, hint: null, sessionId: null },
        { kind: "session", entityId: "s1", cursor: 3, hint: null, sessionId: "s1" }
      ])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("hints at the newest message through later changes of its session, until the session is gone", () =>
    Effect.gen(function* () {
      addMessages(yield* twoSessions, "s1", 2)
      const hint = JSON.stringify({ lastMessageSeq: 2, lastMessageId: "s1-m2" })
      yield* change("a1", { kind: "session", id: "s1", messageId: "s1-m1" })
      yield* change("a1", { kind: "session", id: "s1", messageId: "s1-m2" })
      yield* change("a1", { kind: "session", id: "s1" })
      assert.deepStrictEqual(yield* feed, [{ kind: "session", entityId: "s1", cursor: 3, hint, sessionId: "s1" }])
      yield* change("a1", { kind: "session", id: "s1", isGone: true })
      assert.deepStrictEqual(yield* feed, [{ kind: "session", entityId: "s1", cursor: 4, hint: null, sessionId: null }])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("writes nothing for an account that does not exist, and fails", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const conflict = yield* Effect.flip(change("a9", { kind: "account" }))
      assert.instanceOf(conflict, WriteConflict)
      const refusal = yield* Effect.flip(AccountCursor.requireAccount(conflict as WriteConflict))
      assert.strictEqual(refusal._tag, "Unauthorized")
      assert.deepStrictEqual(database.query(`SELECT "updatedAt" FROM "Session" WHERE "id" = 's1'`), [{ updatedAt: 5 }])
      assert.deepStrictEqual(yield* feed, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("takes no number when the change itself conflicts", () =>
    Effect.gen(function* () {
      const database = yield* twoSessions
      const writer = yield* Writer
      const missing = Write.statement(`UPDATE "Session" SET "updatedAt" = 9 WHERE "id" = 's9'`, [], { changes: 1 })
      const numbered = AccountCursor.numbered({ accountId: "a1", change: { kind: "account" }, changedAt: 7 })
      const conflict = yield* Effect.flip(writer.write(Lane.control, numbered(missing)))
      assert.deepInclude(conflict, { _tag: "WriteConflict", statement: 1 })
      assert.deepStrictEqual(database.query(`SELECT "seq" FROM "Account" WHERE "id" = 'a1'`), [{ seq: 0 }])
      assert.deepStrictEqual(yield* feed, [])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it("adds two statements to a write, whatever it changes", () => {
    for (const change of [{ kind: "account" }, { kind: "machine", id: "m" }, { kind: "session", id: "s" }] as const) {
      const { statements } = AccountCursor.numbered({ accountId: "a1", change, changedAt: 7 })(touch)
      assert.strictEqual(statements.length, 3)
    }
  })
})
