/**
 * Goal: the stores do on PostgreSQL what they do on a file, also with values that the two databases treat differently.
 * Method: the stores of the server over a schema of its own; each test is one trap.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import * as Write from "presence-effect/writer/Write"
import { Writer } from "presence-effect/writer/Writer"
import { AccountStore, layerWith as accountsWith } from "../../src/accounts/AccountStore.ts"
import * as PairingStore from "../../src/accounts/PairingStore.ts"
import * as SettingsStore from "../../src/accounts/SettingsStore.ts"
import * as BoundedList from "../../src/database/BoundedList.ts"
import { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import * as SessionArchive from "../../src/database/SessionArchive.ts"
import * as AccountCursor from "../../src/entities/AccountCursor.ts"
import { toHttp } from "../../src/http/FailureTable.ts"
import * as KeyValueStore from "../../src/kv/KeyValueStore.ts"
import * as MessageStore from "../../src/messages/MessageStore.ts"
import * as PushTokenStore from "../../src/push/PushTokenStore.ts"
import * as Recount from "../../src/quota/Recount.ts"
import * as SessionList from "../../src/sessions/SessionList.ts"
import * as SessionStore from "../../src/sessions/SessionStore.ts"
import * as UsageStore from "../../src/usage/UsageStore.ts"
import * as PostgresWorld from "../support/PostgresWorld.ts"

const stores = Layer.mergeAll(
  accountsWith("first-account"),
  KeyValueStore.layer,
  MessageStore.layer,
  PairingStore.layer({ capacity: 3 }),
  PushTokenStore.layer,
  SessionStore.layer,
  SettingsStore.layer,
  UsageStore.layer
).pipe(Layer.provideMerge(PostgresWorld.layer))

const prepared = PostgresWorld.addTwoSessions

const textOf = ({ rows }: BoundedList.BoundedList): string => BoundedList.toJson("[", rows, "]").toString()

const set = (key: string, version: number, value: string | null = "v") => ({
  key,
  version,
  value: value === null ? null : Buffer.from(value)
})

const message = (id: string, content: unknown, localId: string | null = id) =>
  ({ id, accountId: "a1", sessionId: "s1", localId, content, createdAt: 7 }) as const

const mutate = (...mutations: ReadonlyArray<ReturnType<typeof set>>) =>
  Effect.flatMap(KeyValueStore.KeyValueStore, (store) => store.mutate("a1", mutations))

const hint = Effect.flatMap(PostgresWorld.PostgresWorld, ({ query }) =>
  Effect.map(query(`SELECT "hint" FROM "AccountChange" WHERE "kind" = 'kv'`), ([row]) => JSON.parse(row?.["hint"]))
)

const draw = (count: number) => Array.from({ length: count }, (_, index) => index)

PostgresWorld.describePostgres("stores on PostgreSQL", () => {
  it.scopedLive("sort keys byte for byte, with upper and lower case apart, whatever the language of the server", () =>
    Effect.gen(function* () {
      yield* prepared
      const store = yield* KeyValueStore.KeyValueStore
      const keys = ["b", "B", "a-z", "a_z", "a", "A", "ä", "a z", "Z", "\u{1f600}"]
      yield* mutate(...keys.map((key) => set(key, -1)))
      const listed = JSON.parse(textOf(yield* store.list("a1", "", 100))) as ReadonlyArray<{ readonly key: string }>
      const byBytes = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      assert.deepStrictEqual(
        listed.map(({ key }) => key),
        byBytes
      )
      const some = JSON.parse(textOf(yield* store.list("a1", "a", 100))) as ReadonlyArray<{ readonly key: string }>
      assert.deepStrictEqual(
        some.map(({ key }) => key),
        ["a", "a z", "a-z", "a_z"]
      )
      assert.isTrue(Option.isNone(yield* store.find("a1", "Ä")))
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("page by id in the same order, each row once", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const reader = yield* DatabaseReader
      const ids = ["Z", "a", "B", "aa", "A", "_", "z", "0"]
      for (const id of ids) {
        yield* query(
          `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
           VALUES ($1, $1, 'a1', 'm', 5, 5, 5)`,
          [id]
        )
      }
      const sources = SessionList.sourcesOf(SessionArchive.own, reader.dialect)
      const seen: Array<string> = []
      let beforeId: string | undefined
      do {
        const page = { accountId: "a1", isArchived: false, beforeId, limit: 2 }
        const { hasMore, lastKey, rows } = yield* SessionList.readPage(reader, sources, page, "")
        seen.push(...rows.map(({ kept }) => String(kept[0])))
        beforeId = hasMore ? String(lastKey) : undefined
      } while (beforeId !== undefined)
      assert.deepStrictEqual(seen, [...ids, "s1"].toSorted().toReversed())
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("answer 400, and never 500, for a text with U+0000, and find nothing by one", () =>
    Effect.gen(function* () {
      yield* prepared
      const store = yield* KeyValueStore.KeyValueStore
      const refused = yield* Effect.flip(mutate(set("a\u0000", -1)))
      assert.deepInclude(refused, { _tag: "WriteRejected", code: "22021" })
      assert.strictEqual(toHttp(refused).status, 400)
      assert.isTrue(Option.isNone(yield* store.find("a1", "a\u0000")))
      assert.strictEqual(textOf(yield* store.list("a1", "a\u0000", 5)), "[]")
      const some = yield* Effect.flip(store.pick("a1", ["a\u0000", "b"]))
      assert.strictEqual(toHttp(some).status, 400)
      // Nothing of the write is there, and the account goes on.
      assert.strictEqual(yield* mutate(set("b", -1)), 1)
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("answer 400 for a key that no index takes", () =>
    Effect.gen(function* () {
      yield* prepared
      const tokens = yield* PushTokenStore.PushTokenStore
      // Not compressible: what repeats is stored shorter.
      const token = draw(4096)
        .map((index) => String.fromCodePoint(0x4e00 + ((index * 7919) % 20_000)))
        .join("")
      const refused = yield* Effect.flip(tokens.add("a1", token))
      assert.deepInclude(refused, { _tag: "WriteRejected", code: "54000" })
      assert.strictEqual(toHttp(refused as Parameters<typeof toHttp>[0]).status, 400)
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("keep JSON as its text, with escapes of any character and any depth", () =>
    Effect.gen(function* () {
      yield* prepared
      const messages = yield* MessageStore.MessageStore
      let deep: unknown = "x"
      for (let level = 0; level < 60; level++) deep = [deep]
      const contents = [{ t: "encrypted", c: "\u0000\u{1f600}" }, { b: 1, a: 2, b2: 1.0 }, { deep }]
      for (const [index, content] of contents.entries()) yield* messages.append(message(`m${index}`, content) as never)
      const page = JSON.parse(textOf(yield* messages.page("a1", "s1", { after: 0 }, 10))) as ReadonlyArray<any>
      assert.deepStrictEqual(
        page.map(({ content }) => JSON.stringify(content)),
        contents.map((content) => JSON.stringify(content))
      )
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("read 64 bit numbers as numbers, in rows and in lists, and take versions of any size", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const large = Number.MAX_SAFE_INTEGER - 1
      yield* query(`UPDATE "Session" SET "metadataVersion" = $1, "lastActiveAt" = $1 WHERE "id" = 's1'`, [large])
      const sessions = yield* SessionStore.SessionStore
      const found = Option.getOrThrow(yield* sessions.findById("a1", "s1"))
      assert.deepInclude(found, { metadataVersion: large, lastActiveAt: large, active: true })
      const stale = { text: "metadata", value: "n", expectedVersion: 4_000_000_000 } as const
      const conflict = yield* Effect.flip(sessions.replace({ accountId: "a1", id: "s1", changes: [stale] }))
      assert.strictEqual(conflict._tag, "WriteConflict")
      yield* sessions.replace({ accountId: "a1", id: "s1", changes: [{ ...stale, expectedVersion: large }] })
      const counted = yield* Recount.sum(yield* DatabaseReader, "a1")
      assert.isTrue(Number.isSafeInteger(counted.bytes) && counted.rows === 1)
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("merge the keys of a hint, and ask for everything to be read again beyond fifty", () =>
    Effect.gen(function* () {
      yield* prepared
      yield* mutate(set("a", -1))
      yield* mutate(set("b", -1), set("a", 0))
      const { keys } = yield* hint
      assert.sameMembers(keys, ["a", "b"])
      yield* mutate(...draw(60).map((index) => set(`k${index}`, -1)))
      assert.deepStrictEqual(yield* hint, { full: true })
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("name the newest message of a session in its hint, and keep it", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const messages = yield* MessageStore.MessageStore
      yield* messages.append(message("m1", "c") as never)
      const sessions = yield* SessionStore.SessionStore
      const change = { text: "metadata", value: "n", expectedVersion: 0 } as const
      yield* sessions.replace({ accountId: "a1", id: "s1", changes: [change] })
      const [row] = yield* query(`SELECT "hint", "cursor" FROM "AccountChange" WHERE "kind" = 'session'`)
      assert.deepStrictEqual(JSON.parse(row?.["hint"]), { lastMessageSeq: 1, lastMessageId: "m1" })
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("sum usage exactly, and leave out what is damaged", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const reports = [
        `{"tokens":{"total":1,"odd":1e400},"cost":{"total":0.1}}`,
        `{"tokens":{"total":9007199254740993,"odd":"x"},"cost":{"total":0.2}}`,
        `{"tokens":{"a\\u0000b":1},"cost":{}}`,
        `not json`,
        `{"tokens":[1,2],"cost":7}`
      ]
      for (const [index, data] of reports.entries()) {
        yield* query(
          `INSERT INTO "UsageReport" ("id", "key", "accountId", "data", "createdAt", "updatedAt")
           VALUES ($1, $1, 'a1', $2, 86400000, 1)`,
          [`r${index}`, data]
        )
      }
      const usage = yield* UsageStore.UsageStore
      const query1 = { sessionId: undefined, startTime: undefined, endTime: undefined, groupBy: "day" } as const
      const list = yield* usage.sum("a1", query1 as never)
      assert.deepStrictEqual(list.first, [5])
      assert.deepStrictEqual(JSON.parse(textOf(list)), [
        {
          timestamp: 86_400,
          tokens: { total: 9_007_199_254_740_994, odd: Number.MAX_VALUE },
          cost: { total: 0.3 },
          reportCount: 3
        }
      ])
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("open one account for the first of many keys that come at once", () =>
    Effect.gen(function* () {
      const accounts = yield* AccountStore
      const outcomes = yield* Effect.forEach(
        draw(8),
        (index) =>
          Effect.either(accounts.signIn({ publicKey: Buffer.alloc(32, index + 1), content: undefined } as never)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(
        outcomes.filter(({ _tag }) => _tag === "Right"),
        1
      )
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("keep no more pairing requests than their table may have, however many come at once", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      const pairing = yield* PairingStore.PairingStore
      yield* Effect.forEach(
        draw(12),
        (index) => pairing.insert("terminal", String(index).padStart(64, "0"), true, 1_000_000 + index),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(yield* query(`SELECT 1 FROM "TerminalAuthRequest"`), 3)
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("number the changes of two accounts side by side, without a gap and without a deadlock", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const writer = yield* Writer
      const write = (index: number) => {
        const [accountId, id] = index % 2 === 0 ? ["a1", "s1"] : ["a2", "s2"]
        const touch = Write.statement(`UPDATE "Session" SET "updatedAt" = ? WHERE "id" = ?`, [index, id], {
          changes: 1
        })
        const numbered = AccountCursor.numbered({ accountId, change: { kind: "session", id }, changedAt: index })(touch)
        return Effect.map(writer.write(Lane.data, numbered), ([cursor]) => `${accountId} ${cursor}`)
      }
      const cursors = yield* Effect.forEach(draw(100), write, { concurrency: "unbounded" })
      assert.sameMembers(
        cursors,
        draw(100).map((index) => `a${(index % 2) + 1} ${Math.floor(index / 2) + 1}`)
      )
      const [row] = yield* query(`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
      assert.isDefined(row)
    }).pipe(Effect.provide(stores))
  )

  it.scopedLive("show the vendors of a profile sorted, and none as an empty list", () =>
    Effect.gen(function* () {
      const { query } = yield* PostgresWorld.PostgresWorld
      yield* prepared
      const settings = yield* SettingsStore.SettingsStore
      const vendors = Effect.map(settings.findProfile("a1"), (found) => Option.getOrThrow(found).connectedServices)
      assert.deepStrictEqual(yield* vendors, [])
      for (const vendor of ["openai", "anthropic"]) {
        yield* query(
          `INSERT INTO "ServiceAccountToken" ("id", "accountId", "vendor", "token", "createdAt", "updatedAt")
           VALUES ($1, 'a1', $1, '\\x00', 1, 1)`,
          [vendor]
        )
      }
      assert.deepStrictEqual(yield* vendors, ["anthropic", "openai"])
    }).pipe(Effect.provide(stores))
  )
})
