/**
 * Goal: no read ever sees a part of a session, wherever a deletion stops.
 * Method: a real file, and a writer that stops before a chosen write; the
 * result is what a killed process leaves, and a second server continues with
 * it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer } from "effect"
import { Writer } from "presence-effect/writer/Writer"
import type { Write } from "presence-effect/writer/Write"
import type { Lane } from "presence-effect/writer/Lane"
import * as MessageStore from "../../src/messages/MessageStore.ts"
import * as TimeForm from "../../src/database/TimeForm.ts"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as SessionArchive from "../../src/database/SessionArchive.ts"
import * as SessionList from "../../src/sessions/SessionList.ts"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import { until } from "proving/drivers/Eventually"
import * as FileDatabase from "../support/FileDatabase.ts"
import { addMessages, addTwoSessions } from "proving/drivers/Rows"

const messageCount = 2500

const prepared = Effect.tap(FileDatabase.FileDatabase, (database) => {
  addTwoSessions(database)
  addMessages(database, "s1", messageCount)
  addMessages(database, "s2", 3)
})

/** A server that lives until the effect ends, and takes `writes` writes. `stopped` resolves at the one too many. */
const life = <A, E, R>(
  writes: number,
  body: (stopped: Effect.Effect<void>) => Effect.Effect<A, E, R | SessionStore.SessionStore | MessageStore.MessageStore>
) =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const stopped = yield* Deferred.make<void>()
    let left = writes
    const stopping = {
      ...writer,
      write: <B>(lane: Lane, write: Write<B>) =>
        Effect.suspend(() =>
          left-- > 0 ? writer.write(lane, write) : Effect.zipRight(Deferred.succeed(stopped, undefined), Effect.never)
        )
    }
    const stores = Layer.merge(SessionStore.layer, MessageStore.layer).pipe(
      Layer.provide(Layer.succeed(Writer, stopping))
    )
    return yield* Effect.provide(body(Deferred.await(stopped)), stores)
  })

const sources = SessionList.sourcesOf(SessionArchive.own)

const firstPage = { accountId: "a1", beforeId: undefined, limit: 10 }

const seen = Effect.gen(function* () {
  const sessions = yield* SessionStore.SessionStore
  const messages = yield* MessageStore.MessageStore
  const reader = yield* DatabaseReader
  const lists = [
    yield* SessionList.readUpdated(reader, sources, "a1", 10, ""),
    yield* SessionList.readPage(reader, sources, { ...firstPage, isArchived: false }, ""),
    yield* SessionList.readPage(reader, sources, { ...firstPage, isArchived: true }, ""),
    { rows: yield* SessionList.readActive(reader, "a1") }
  ]
  const found = [yield* sessions.findById("a1", "s1"), yield* sessions.findByTag("a1", "s1")]
  const page = yield* messages.page("a1", "s1", { after: 0 }, 10)
  return [...lists.map(({ rows }) => rows.length), ...found.map(({ _tag }) => _tag), page.rows.length]
})

const nothing = [0, 0, 0, 0, "None", "None", 0]

describe("SessionRemoval", () => {
  for (const writes of [0, 1, 2, 3]) {
    it.scopedLive(`shows a long session whole or not at all when the server dies after ${writes} of 4 writes`, () =>
      Effect.gen(function* () {
        const { query } = yield* prepared
        const countOf = (table: string) => query(`SELECT 1 FROM "${table}"`).length
        yield* life(writes, (stopped) =>
          Effect.gen(function* () {
            const { remove } = yield* SessionStore.SessionStore
            const removing = yield* Effect.fork(remove("a1", "s1"))
            yield* stopped
            yield* Fiber.interrupt(removing)
            assert.deepStrictEqual(yield* seen, writes === 0 ? [1, 1, 0, 1, "Some", "Some", 10] : nothing)
          })
        )
        const messagesLeft = [messageCount, messageCount, messageCount - 1000, messageCount - 2000][writes] ?? 0
        assert.strictEqual(countOf("SessionMessage"), messagesLeft + 3)

        yield* life(10, () =>
          Effect.gen(function* () {
            const store = yield* SessionStore.SessionStore
            if (writes === 0) yield* store.remove("a1", "s1")
            assert.deepStrictEqual(yield* seen, nothing)
            yield* until(
              Effect.sync(() => countOf("Session")),
              (count) => count === 1
            )
            assert.strictEqual(countOf("SessionMessage"), 3)
          })
        )
      }).pipe(Effect.provide(FileDatabase.layer))
    )
  }

  it.scopedLive("frees the tag at once, and records the deletion in the feed", () =>
    Effect.gen(function* () {
      const { query } = yield* prepared
      yield* life(2, (stopped) =>
        Effect.gen(function* () {
          const store = yield* SessionStore.SessionStore
          assert.strictEqual(yield* store.remove("a1", "s1"), 1)
          yield* stopped
          assert.strictEqual((yield* store.findByTag("a1", "s1"))._tag, "None")
        })
      )
      assert.deepStrictEqual(query(`SELECT "accountId", "entityId", "cursor", "sessionId" FROM "AccountChange"`), [
        { accountId: "a1", entityId: "s1", cursor: 1, sessionId: null }
      ])
      assert.deepStrictEqual(query(`SELECT "tag" FROM "Session" WHERE "accountId" = 'a1'`), [])
    }).pipe(Effect.provide(FileDatabase.layer), Effect.provideService(TimeForm.TimeForm, TimeForm.iso))
  )
})
