/**
 * Goal: numbers without a gap, and one row per local id, whatever happens at
 * the same time.
 * Method: the real writer on a real file, with writes that share commits.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { cuid } from "../../src/database/Ids.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import * as Message from "../../src/messages/Message.ts"
import * as MessageStore from "../../src/messages/MessageStore.ts"
import * as FileDatabase from "../support/FileDatabase.ts"
import { parsedRows } from "../support/parsedRows.ts"
import { addMessages, addSession, addTwoSessions } from "proving/drivers/Rows"

const layer = Layer.provideMerge(MessageStore.layer, FileDatabase.layer)

const prepared = Effect.tap(FileDatabase.FileDatabase, addTwoSessions)

const draft = (sessionId: string, localId = "", accountId = "a1") =>
  Message.draft(accountId, sessionId, { ciphertext: "sealed", localId }, cuid(), 7)

const oneTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)

describe("MessageStore", () => {
  it("writes a message with four statements in one write, with a local id and without", () => {
    for (const localId of ["", "l1"]) {
      assert.strictEqual(MessageStore.appendWrite(draft("s1", localId)).statements.length, 4)
    }
  })

  it.scopedLive("numbers 100 messages at once from 1 to 100, in the session and in the account", () =>
    Effect.gen(function* () {
      const { query } = yield* prepared
      const store = yield* MessageStore.MessageStore
      const places = yield* Effect.forEach(oneTo(100), () => store.append(draft("s1")), { concurrency: "unbounded" })
      assert.sameOrderedMembers(
        places.map(({ seq }) => seq).toSorted((a, b) => a - b),
        oneTo(100)
      )
      for (const { seq, cursor } of places) assert.strictEqual(cursor, seq)
      assert.deepStrictEqual(
        query(`SELECT "seq" FROM "SessionMessage" ORDER BY "seq"`).map(({ seq }) => seq),
        oneTo(100)
      )
      assert.deepStrictEqual(query(`SELECT "seq", "updatedAt" FROM "Session" WHERE "id" = 's1'`), [
        { seq: 100, updatedAt: 7 }
      ])
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("numbers sessions apart, and their account without a gap", () =>
    Effect.gen(function* () {
      const database = yield* prepared
      addSession(database, "a1", "s3")
      const store = yield* MessageStore.MessageStore
      const places = yield* Effect.forEach(
        oneTo(40),
        (index) =>
          Effect.map(store.append(draft(index % 2 === 0 ? "s1" : "s3")), (place) => ({ ...place, odd: index % 2 })),
        { concurrency: "unbounded" }
      )
      for (const odd of [0, 1]) {
        const seqs = places.filter((place) => place.odd === odd).map(({ seq }) => seq)
        assert.sameMembers(seqs, oneTo(20))
      }
      assert.sameMembers(
        places.map(({ cursor }) => cursor),
        oneTo(40)
      )
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("leaves no gap for duplicates and foreign sessions among what is written together", () =>
    Effect.gen(function* () {
      const { query } = yield* prepared
      const store = yield* MessageStore.MessageStore
      const outcomes = yield* Effect.forEach(
        oneTo(60),
        (index) =>
          Effect.either(
            store.append(index % 3 === 0 ? draft("s2") : draft("s1", index % 3 === 1 ? "twice" : `l${index}`))
          ),
        { concurrency: "unbounded" }
      )
      const written = outcomes.flatMap((outcome) => (outcome._tag === "Right" ? [outcome.right.seq] : []))
      assert.sameMembers(written, oneTo(21))
      const conflicts = outcomes.flatMap((outcome) => (outcome._tag === "Left" ? [outcome.left] : []))
      assert.deepStrictEqual(
        conflicts.map((conflict) => (conflict._tag === "WriteConflict" ? conflict.statement : -1)).toSorted(),
        [...Array(20).fill(MessageStore.sessionStatement), ...Array(19).fill(MessageStore.messageStatement)]
      )
      assert.deepStrictEqual(query(`SELECT "id", "seq" FROM "Session" ORDER BY "id"`), [
        { id: "s1", seq: 21 },
        { id: "s2", seq: 0 }
      ])
      assert.deepStrictEqual(query(`SELECT "id", "seq" FROM "Account" ORDER BY "id"`), [
        { id: "a1", seq: 21 },
        { id: "a2", seq: 0 }
      ])
      const lines = query(`SELECT "cursor", "hint" ->> 'lastMessageSeq' AS last FROM "AccountChange"`)
      assert.deepStrictEqual(lines, [{ cursor: 21, last: 21 }])
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("writes times as text into a file whose times are text, and reads them back", () =>
    Effect.gen(function* () {
      const { query } = yield* prepared
      const store = yield* MessageStore.MessageStore
      yield* store.append(draft("s1", "l1"))
      const text = TimeForm.iso.encode(7)
      assert.deepStrictEqual(query(`SELECT "createdAt", "updatedAt" FROM "SessionMessage"`), [
        { createdAt: text, updatedAt: text }
      ])
      assert.deepStrictEqual(query(`SELECT "updatedAt" FROM "Session" WHERE "id" = 's1'`), [{ updatedAt: text }])
      assert.deepStrictEqual(query(`SELECT "changedAt" FROM "AccountChange"`), [{ changedAt: text }])
      const rows = parsedRows(yield* store.page("a1", "s1", { after: 0 }, 5))
      assert.deepInclude(rows[0], { createdAt: 7, updatedAt: 7 })
    }).pipe(Effect.provide(layer), Effect.provideService(TimeForm.TimeForm, TimeForm.iso))
  )

  it.scopedLive("reads no more than 1 MiB at once, and always one message", () =>
    Effect.gen(function* () {
      const database = yield* prepared
      addMessages(database, "s1", 5, 400 * 1024)
      addMessages(database, "s2", 2, 2 * 1024 * 1024)
      const store = yield* MessageStore.MessageStore
      const page = yield* store.page("a1", "s1", { after: 0 }, 5)
      assert.deepStrictEqual([parsedRows(page).map(({ seq }) => seq), page.hasMore], [[1, 2], true])
      const large = yield* store.page("a2", "s2", { before: 3 }, 5)
      assert.deepStrictEqual([parsedRows(large).map(({ seq }) => seq), large.hasMore], [[2], true])
    }).pipe(Effect.provide(layer))
  )

  it.scopedLive("reads pages along the index of their session, without sorting", () =>
    Effect.gen(function* () {
      const database = yield* prepared
      const session = `(SELECT "id" FROM "Session" WHERE "id" = 's1' AND "accountId" = 'a1')`
      const plan = database.query(
        `EXPLAIN QUERY PLAN SELECT * FROM "SessionMessage"
         WHERE "sessionId" = ${session} AND "seq" < 9 ORDER BY "seq" DESC LIMIT 5`
      )
      const details = plan.map(({ detail }) => String(detail)).join("\n")
      assert.include(details, "SessionMessage_sessionId_seq_idx")
      assert.notInclude(details, "TEMP B-TREE")
    }).pipe(Effect.provide(layer))
  )
})
