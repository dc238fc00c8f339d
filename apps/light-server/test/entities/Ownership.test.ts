import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import * as PresenceKey from "../../src/entities/PresenceKey.ts"
import * as DatabaseReader from "../../src/database/DatabaseReader.ts"
import * as Ownership from "../../src/entities/Ownership.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const make = (options: { readonly validityCapacity: number }) =>
  Effect.gen(function* () {
    const database = yield* TestDatabase.TestDatabase
    database.addAccount("a1")
    database.sqlite.exec(
      `INSERT INTO "Session" ("id", "tag", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
       VALUES ('s1', 't', 'a1', 'sealed', 5, 5, 5)`
    )
    return { database, ownership: yield* Ownership.make({ validityTtl: "30 seconds", ...options }) }
  })

const start = 1_800_000_000_000

const unbounded = { concurrency: "unbounded" } as const

const settle = Effect.yieldNow().pipe(Effect.repeatN(16))

/** Reads are answered once `answers` is open. */
const makeWaiting = Effect.gen(function* () {
  const answers = yield* Effect.makeLatch(false)
  const reads = { count: 0 }
  const rows = ["s1", "s2"].map((id) => ({ id, accountId: "a1", isRevoked: 0, isArchived: 0 }))
  const reader = DatabaseReader.fromQuery(() =>
    Effect.suspend(() => {
      reads.count++
      return Effect.as(answers.await, rows)
    })
  )
  const ownership = yield* Ownership.make({ validityTtl: "30 seconds", validityCapacity: 10 }).pipe(
    Effect.provideService(DatabaseReader.DatabaseReader, reader)
  )
  return { answers, ownership, reads }
})

describe("Ownership", () => {
  it.scoped("distinguishes owned, foreign and missing rows, and remembers them", () =>
    Effect.gen(function* () {
      const { database, ownership } = yield* make({ validityCapacity: 10 })
      const own = PresenceKey.session("a1", "s1")
      assert.isUndefined(ownership.remembered(own))
      assert.strictEqual(yield* ownership.check(own), "owned")
      assert.strictEqual(yield* ownership.check(PresenceKey.session("a2", "s1")), "foreign")
      assert.strictEqual(yield* ownership.check(PresenceKey.session("a1", "s2")), "missing")
      assert.strictEqual(yield* ownership.check(PresenceKey.machine("a1", "s1")), "missing")
      assert.strictEqual(database.readCount, 4)
      assert.strictEqual(yield* ownership.check(own), "owned")
      assert.strictEqual(ownership.remembered(own), "owned")
      assert.strictEqual(database.readCount, 4)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("reports a revoked machine to its account, and to others only that it is not theirs", () =>
    Effect.gen(function* () {
      const { database, ownership } = yield* make({ validityCapacity: 10 })
      database.sqlite.exec(
        `INSERT INTO "Machine" ("id", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
         VALUES ('m1', 'a1', 'sealed', 5, 5, 5);
         INSERT INTO "PresenceMachineRevocation" VALUES ('m1', 5)`
      )
      const key = PresenceKey.machine("a1", "m1")
      assert.strictEqual(yield* ownership.check(key), "revoked")
      assert.strictEqual((yield* Effect.flip(Ownership.requireOwned(ownership, key)))._tag, "NotFound")
      assert.strictEqual(yield* ownership.check(PresenceKey.machine("a2", "m1")), "foreign")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("reports an archived session, which may be used and changed as before", () =>
    Effect.gen(function* () {
      const { database, ownership } = yield* make({ validityCapacity: 10 })
      database.sqlite.exec(`INSERT INTO "PresenceSessionArchive" VALUES ('s1', 5)`)
      const key = PresenceKey.session("a1", "s1")
      assert.strictEqual(yield* ownership.check(key), "archived")
      assert.strictEqual(yield* Ownership.requireOwned(ownership, key), "archived")
      assert.strictEqual(yield* ownership.check(PresenceKey.session("a2", "s1")), "foreign")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("remembers that a session was archived or unarchived, until that is invalidated", () =>
    Effect.gen(function* () {
      const { ownership } = yield* make({ validityCapacity: 10 })
      const key = PresenceKey.session("a1", "s1")
      ownership.archive(key)
      assert.strictEqual(yield* ownership.check(key), "archived")
      ownership.learn(key)
      assert.strictEqual(yield* ownership.check(key), "owned")
      ownership.archive(key)
      ownership.unlearn(key)
      assert.isUndefined(ownership.remembered(key))
      assert.strictEqual(yield* ownership.check(key), "owned")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("calls each listener when a machine is found revoked, until the listener is removed", () =>
    Effect.gen(function* () {
      const { database, ownership } = yield* make({ validityCapacity: 10 })
      database.sqlite.exec(
        `INSERT INTO "Machine" ("id", "accountId", "metadata", "lastActiveAt", "createdAt", "updatedAt")
         VALUES ('m1', 'a1', 'sealed', 5, 5, 5);
         INSERT INTO "PresenceMachineRevocation" VALUES ('m1', 5)`
      )
      const told: Array<string> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* ownership.onRevoked(({ id }) => told.push(id))
          yield* ownership.check(PresenceKey.machine("a1", "m1"))
          // Remembered.
          yield* ownership.check(PresenceKey.machine("a1", "m1"))
          // Not visible for another account.
          yield* ownership.check(PresenceKey.machine("a2", "m1"))
          ownership.revoke(PresenceKey.machine("a1", "m2"))
          assert.strictEqual(ownership.remembered(PresenceKey.machine("a1", "m2")), "revoked")
        })
      )
      ownership.revoke(PresenceKey.machine("a1", "m3"))
      assert.deepStrictEqual(told, ["m1", "m2"])
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("uses a creation or a deletion at once, without a read", () =>
    Effect.gen(function* () {
      const { ownership } = yield* make({ validityCapacity: 10 })
      const key = PresenceKey.session("a1", "s2")
      assert.strictEqual(yield* ownership.check(key), "missing")
      ownership.learn(key)
      assert.strictEqual(yield* ownership.check(key), "owned")
      ownership.forget(key)
      assert.strictEqual(yield* ownership.check(key), "missing")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("remembers no more rows than its capacity", () =>
    Effect.gen(function* () {
      const { ownership } = yield* make({ validityCapacity: 2 })
      for (const id of ["s1", "s2", "s3"]) yield* ownership.check(PresenceKey.session("a1", id))
      assert.isUndefined(ownership.remembered(PresenceKey.session("a1", "s1")))
      assert.strictEqual(ownership.remembered(PresenceKey.session("a1", "s3")), "missing")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("does not read at once again what it read at once", () =>
    Effect.gen(function* () {
      const { ownership } = yield* make({ validityCapacity: 1_000 })
      const keys = Array.from({ length: 400 }, (_, index) => PresenceKey.session("a1", `s${index}`))
      const rememberedCount = () => keys.filter((key) => ownership.remembered(key) !== undefined).length
      yield* TestClock.setTime(start)
      for (const key of keys) ownership.learn(key)
      const counts = yield* Effect.forEach([14, 8, 9], (seconds) =>
        Effect.map(TestClock.adjust(seconds * 1_000), rememberedCount)
      )
      assert.strictEqual(counts[0], keys.length)
      assert.isAbove(counts[1] ?? 0, keys.length / 4)
      assert.isBelow(counts[1] ?? 0, (keys.length * 3) / 4)
      assert.strictEqual(counts[2], 0)
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("does not remember a failed read", () =>
    Effect.gen(function* () {
      const { database, ownership } = yield* make({ validityCapacity: 2 })
      database.nextReadFailure = new DatabaseReader.ReadFailed({ code: "SQLITE_BUSY", detail: "test" })
      const key = PresenceKey.session("a1", "s1")
      assert.strictEqual((yield* Effect.flip(ownership.check(key)))._tag, "ReadFailed")
      assert.strictEqual(yield* ownership.check(key), "owned")
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.scoped("reads a row once for all who ask meanwhile, also if the first of them goes away", () =>
    Effect.gen(function* () {
      const { answers, ownership, reads } = yield* makeWaiting
      const key = PresenceKey.session("a1", "s1")
      const first = yield* Effect.fork(ownership.check(key))
      const others = yield* Effect.fork(
        Effect.all(
          Array.from({ length: 50 }, () => ownership.check(key)),
          unbounded
        )
      )
      yield* settle
      yield* Fiber.interrupt(first)
      yield* answers.open
      assert.deepStrictEqual([...new Set(yield* Fiber.join(others))], ["owned"])
      assert.strictEqual(reads.count, 1)
    })
  )

  it.scoped("remembers what it reads while other rows change, and not what changed itself", () =>
    Effect.gen(function* () {
      const { answers, ownership } = yield* makeWaiting
      const [key, changed] = [PresenceKey.session("a1", "s1"), PresenceKey.session("a1", "s2")]
      const both = yield* Effect.fork(Effect.all([ownership.check(key), ownership.check(changed)], unbounded))
      yield* settle
      ownership.unlearn(changed)
      yield* answers.open
      assert.deepStrictEqual(yield* Fiber.join(both), ["owned", "owned"])
      assert.strictEqual(ownership.remembered(key), "owned")
      assert.isUndefined(ownership.remembered(changed))
    })
  )
})
