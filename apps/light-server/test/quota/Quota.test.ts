/**
 * Goal: the totals that triggers keep are those of the rows after whatever a store does, and a write beyond a limit is
 * refused, alone of all writes.
 * Method: the real stores over a file and over PostgreSQL; the totals are compared with a count of the rows after each
 * step.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc, Layer, TestClock } from "effect"
import * as Lane from "presence-effect/writer/Lane"
import { Writer } from "presence-effect/writer/Writer"
import * as Write from "presence-effect/writer/Write"
import { WriteRejected } from "presence-effect/writer/WriterError"
import { until } from "proving/drivers/Eventually"
import type { DatabaseReader } from "../../src/database/DatabaseReader.ts"
import { Quota } from "../../src/quota/Quota.ts"
import * as StorageUsage from "../../src/quota/StorageUsage.ts"
import * as Stores from "./QuotaStores.ts"
import { addMessages, addTwoSessions, type Kind, kinds, layerOf, QuotaWorld } from "./QuotaWorld.ts"

const ample = { bytes: 1e9, rows: 1e6 }

const assertExact = (accountId: string) =>
  Effect.map(Stores.totals(accountId), ({ counted, kept }) => assert.deepStrictEqual(kept, counted))

/** Waits for a count in the background. */
const untilExact = (accountId: string) =>
  Effect.flatMap(Effect.context<DatabaseReader | QuotaWorld>(), (context) =>
    until(
      Effect.provide(Stores.totals(accountId), context),
      ({ counted, kept }) => JSON.stringify(kept) === JSON.stringify(counted)
    )
  )

/** Two accounts that were opened by a login, with a session each; the first one has a machine. */
const prepared = Effect.gen(function* () {
  yield* Stores.openAccount("a1")
  yield* Stores.openAccount("a2")
  yield* Stores.session("a1", "s1", 10)
  yield* Stores.machine("a1", "m1", 10)
  yield* Stores.session("a2", "s2", 10)
})

const small = { bytes: 10_000, rows: 6 }
const fewRows = { bytes: 1_000_000, rows: 6 }

/** Another server over the same database, instead of the one before. */
const reopened = Effect.map(
  QuotaWorld,
  ({ server }) =>
    (limits?: typeof small) =>
      Effect.provide(Stores.stores.pipe(Layer.provideMerge(server(limits))))
)

const suite = (kind: Kind) => {
  const storesWith = (limits?: typeof small) => Stores.stores.pipe(Layer.provideMerge(layerOf(kind, limits)))

  describe("the totals of an account", () => {
    it.scopedLive("are exact after each kind of write of each store", () =>
      Effect.gen(function* () {
        yield* prepared
        const steps = [
          Stores.message("a1", "s1", 100),
          Stores.messages("a1", "s1", 5),
          Stores.state("a1", "s1", 400, 0),
          Stores.state("a1", "s1", 3, 1),
          Stores.daemonState("a1", "m1", 70, 0),
          Stores.report("a1", "key", "s1", 5),
          Stores.report("a1", "key", "s1", 5_000_000),
          Stores.report("a1", "key", undefined, 5),
          Stores.artifact("a1", "f1", 33),
          Stores.artifactBody("a1", "f1", 44, 1),
          Stores.value("a1", "k1", 20, -1),
          Stores.value("a1", "k1", 40, 0),
          Stores.value("a1", "k1", null, 1),
          Stores.accessKey("a1", "s1", "m1", 9),
          Stores.accessKeyData("a1", "s1", "m1", 90),
          Stores.pushToken("a1", "token"),
          Stores.pushToken("a1", "token"),
          Stores.vendorToken("a1", 12),
          Stores.vendorToken("a1", 120),
          Stores.settings("a1", 50, 0),
          Stores.settings("a1", 5, 1),
          Stores.archive("a1", "s1", 7),
          Stores.archive("a1", "s1", null),
          Stores.artifactRemoval("a1", "f1"),
          Stores.vendorTokenRemoval("a1"),
          Stores.revocation("a1", "m1"),
          Stores.removal("a1", "s1")
        ]
        for (const step of steps) {
          yield* step
          yield* assertExact("a1")
        }
        const { kept } = yield* Stores.totals("a1")
        // A machine, a report, a deleted value and a push token, and the settings.
        assert.deepInclude(kept, { rows: 4 })
        yield* assertExact("a2")
      }).pipe(Effect.provide(storesWith(ample)))
    )

    it.scopedLive("are exact after any sequence of writes, refused ones included", () =>
      Effect.gen(function* () {
        yield* prepared
        const versions = new Map<string, number>()
        const versioned = <A, E, R>(key: string, first: number, write: (version: number) => Effect.Effect<A, E, R>) =>
          Effect.suspend(() => write(versions.get(key) ?? first)).pipe(
            Effect.tap(() => Effect.sync(() => versions.set(key, (versions.get(key) ?? first) + 1)))
          )
        const writes = {
          session: (id: number, bytes: number) => Effect.asVoid(Stores.session("a1", `x${id}`, bytes)),
          message: (id: number, bytes: number) => Effect.asVoid(Stores.message("a1", `x${id}`, bytes)),
          removal: (id: number) =>
            Effect.asVoid(
              Effect.tap(Stores.removal("a1", `x${id}`), () => Effect.sync(() => versions.delete(`x${id}`)))
            ),
          value: (id: number, bytes: number) =>
            Effect.asVoid(versioned(`k${id}`, -1, (version) => Stores.value("a1", `k${id}`, bytes, version))),
          state: (id: number, bytes: number) =>
            Effect.asVoid(versioned(`x${id}`, 0, (version) => Stores.state("a1", `x${id}`, bytes, version)))
        }
        const step = fc.tuple(
          fc.constantFrom("session", "message", "removal", "value", "state"),
          fc.nat(5),
          fc.nat(4000)
        )
        const kinds = new Set<string | undefined>()
        const seed = Number(process.env["TEST_SEED"] ?? 1)
        for (const [name, id, bytes] of fc.sample(step, { numRuns: kind.sequenceLength, seed })) {
          const write = writes[name as keyof typeof writes]
          kinds.add(
            yield* Stores.refusalOf<{ readonly _tag: string }, Layer.Layer.Success<typeof Stores.stores>>(
              write(id, bytes)
            )
          )
          yield* assertExact("a1")
        }
        assert.includeMembers([...kinds], [undefined, "bytes", "rows"])
      }).pipe(Effect.provide(storesWith({ bytes: 20_000, rows: 9 })))
    )

    it.scopedLive("lose a long session at once, whose messages go in several writes", () =>
      Effect.gen(function* () {
        yield* prepared
        for (let batch = 0; batch < 13; batch++) yield* Stores.messages("a1", "s1", 100)
        yield* assertExact("a1")
        yield* Stores.removal("a1", "s1")
        const { answer } = yield* untilExact("a1")
        // The machine.
        assert.deepInclude(answer.kept, { rows: 1 })
      }).pipe(Effect.provide(storesWith(ample)))
    )

    it.scopedLive("follow a session to another owner", () =>
      Effect.gen(function* () {
        yield* prepared
        const writer = yield* Writer
        yield* writer.write(Lane.data, Write.statement(`UPDATE "Session" SET "accountId" = 'a2' WHERE "id" = 's1'`))
        yield* assertExact("a1")
        yield* assertExact("a2")
      }).pipe(Effect.provide(storesWith(ample)))
    )

    it.scopedLive("are counted for an account from before the quota with its first write, while others write", () =>
      Effect.gen(function* () {
        yield* addTwoSessions
        yield* addMessages("s1", 500)
        yield* Stores.message("a1", "s1", 9)
        yield* Stores.message("a1", "s1", 9)
        const { answer } = yield* untilExact("a1")
        assert.deepInclude(answer.kept, { rows: 503 })
        yield* Stores.message("a1", "s1", 9)
        yield* assertExact("a1")
        assert.isUndefined((yield* Stores.totals("a2")).kept)
      }).pipe(Effect.provide(storesWith(ample)))
    )
  })

  describe("an account at its quota", () => {
    it.scopedLive("can store nothing new, of any kind, and another one can", () =>
      Effect.gen(function* () {
        yield* prepared
        assert.isUndefined(yield* Stores.refusalOf(Stores.message("a1", "s1", 8500)))
        const refusals = yield* Effect.forEach(
          [
            Stores.session("a1", "new", 900),
            Stores.message("a1", "s1", 900),
            Stores.messages("a1", "s1", 3),
            Stores.machine("a1", "new", 900),
            Stores.report("a1", "k".repeat(900), undefined, 5),
            Stores.artifact("a1", "new", 900),
            Stores.value("a1", "new", 900, -1),
            Stores.accessKey("a1", "s1", "m1", 900),
            Stores.pushToken("a1", "t".repeat(900)),
            Stores.vendorToken("a1", 900)
          ],
          (write) => Stores.refusalOf<{ readonly _tag: string }, Layer.Layer.Success<typeof Stores.stores>>(write)
        )
        assert.deepStrictEqual([...new Set(refusals)], ["bytes"])
        yield* assertExact("a1")
        assert.isUndefined(yield* Stores.refusalOf(Stores.session("a2", "new", 900)))
        assert.isUndefined(yield* Stores.refusalOf(Stores.message("a2", "s2", 900)))
      }).pipe(Effect.provide(storesWith(small)))
    )

    it.scopedLive("has a limit of rows as well", () =>
      Effect.gen(function* () {
        yield* prepared
        for (let count = 2; count < fewRows.rows; count++) yield* Stores.message("a1", "s1", 1)
        assert.strictEqual(yield* Stores.refusalOf(Stores.message("a1", "s1", 1)), "rows")
        assert.isUndefined(yield* Stores.refusalOf(Stores.state("a1", "s1", 100, 0)))
        yield* assertExact("a1")
      }).pipe(Effect.provide(storesWith(fewRows)))
    )

    it.scopedLive("controls what it has: texts grow a tenth further, and shrink in any case", () =>
      Effect.gen(function* () {
        yield* prepared
        yield* Stores.message("a1", "s1", 9000)
        assert.strictEqual(yield* Stores.refusalOf(Stores.message("a1", "s1", 900)), "bytes")
        assert.isUndefined(yield* Stores.refusalOf(Stores.state("a1", "s1", 600, 0)))
        assert.isUndefined(yield* Stores.refusalOf(Stores.daemonState("a1", "m1", 300, 0)))
        assert.strictEqual(yield* Stores.refusalOf(Stores.state("a1", "s1", 2000, 1)), "bytes")
        assert.isUndefined(yield* Stores.refusalOf(Stores.state("a1", "s1", 500, 1)))
        assert.isUndefined(yield* Stores.refusalOf(Stores.archive("a1", "s1", 7)))
        assert.isUndefined(yield* Stores.refusalOf(Stores.revocation("a1", "m1")))
        yield* assertExact("a1")
      }).pipe(Effect.provide(storesWith(small)))
    )

    it.scopedLive("may be far beyond a limit that was lowered, and shrink what it has", () =>
      Effect.gen(function* () {
        const over = yield* reopened
        yield* prepared.pipe(Effect.zipRight(Stores.state("a1", "s1", 50_000, 0)), over(ample))
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* Stores.refusalOf(Stores.state("a1", "s1", 50_001, 1)), "bytes")
          assert.isUndefined(yield* Stores.refusalOf(Stores.state("a1", "s1", 49_999, 1)))
          assert.isUndefined(yield* Stores.refusalOf(Stores.state("a1", "s1", 10, 2)))
          yield* assertExact("a1")
        }).pipe(over(small))
      }).pipe(Effect.provide(kind.world))
    )

    it.scopedLive("has room as soon as it has deleted something", () =>
      Effect.gen(function* () {
        yield* prepared
        yield* Stores.session("a1", "large", 8500)
        assert.strictEqual(yield* Stores.refusalOf(Stores.message("a1", "s1", 900)), "bytes")
        yield* Stores.removal("a1", "large")
        assert.isUndefined(yield* Stores.refusalOf(Stores.message("a1", "s1", 900)))
        yield* assertExact("a1")
      }).pipe(Effect.provide(storesWith(small)))
    )

    it.scopedLive("has room as soon as it has deleted a long session", () =>
      Effect.gen(function* () {
        yield* prepared
        for (let batch = 0; batch < 13; batch++) yield* Stores.messages("a1", "s1", 100)
        yield* Stores.session("a1", "s3", 10)
        assert.strictEqual(yield* Stores.refusalOf(Stores.messages("a1", "s3", 100)), "rows")
        yield* Stores.removal("a1", "s1")
        assert.isUndefined(yield* Stores.refusalOf(Stores.messages("a1", "s3", 100)))
      }).pipe(Effect.provide(storesWith({ bytes: 1e9, rows: 1350 })))
    )

    it.scopedLive("may be one whose limit was lowered: it reads and deletes", () =>
      Effect.gen(function* () {
        const over = yield* reopened
        yield* prepared.pipe(Effect.zipRight(Stores.messages("a1", "s1", 50)), over(ample))
        yield* Effect.gen(function* () {
          assert.strictEqual(yield* Stores.refusalOf(Stores.message("a1", "s1", 1)), "rows")
          const usage = yield* (yield* StorageUsage.make)("a1")
          assert.deepInclude(usage, { rows: 52, quota: fewRows })
          yield* Stores.removal("a1", "s1")
          assert.isUndefined(yield* Stores.refusalOf(Stores.session("a1", "s3", 1)))
        }).pipe(over(fewRows))
        // A higher limit needs a restart and nothing else.
        yield* Effect.gen(function* () {
          yield* Stores.messages("a1", "s3", 50)
          yield* assertExact("a1")
        }).pipe(over(ample))
      }).pipe(Effect.provide(kind.world))
    )
  })

  describe("a client that goes on trying", () => {
    const rejected = new WriteRejected({
      lane: Lane.data,
      code: "SQLITE_CONSTRAINT_TRIGGER",
      detail: "account quota: bytes"
    })

    /** A write that the engine refuses, and how often it was asked. */
    const attempts = () => {
      let count = 0
      const write = Write.statement("INSERT INTO T VALUES (?)", ["x".repeat(100)])
      const run = Effect.suspend(() => {
        count++
        return Effect.fail(rejected)
      })
      return { write, run, count: () => count }
    }

    it.scoped("reaches the writer once a second, and at once when the account has freed something", () =>
      Effect.gen(function* () {
        yield* Stores.openAccount("a1")
        const { guard } = yield* Quota
        const { count, run, write } = attempts()
        const attempt = Effect.gen(function* () {
          const before = count()
          assert.deepInclude(yield* Effect.flip(guard("a1", write, run)), { _tag: "QuotaExceeded", quota: "bytes" })
          return count() - before
        })
        // The account was not counted since the start, so the first one is tried again after the count.
        assert.strictEqual(yield* attempt, 2)
        for (let repeat = 0; repeat < 10; repeat++) assert.strictEqual(yield* attempt, 0)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* attempt, 1)
        assert.strictEqual(yield* attempt, 0)
        yield* guard("a1", Write.withReserve(Write.map(write, () => undefined)), Effect.void)
        assert.strictEqual(yield* attempt, 1)
      }).pipe(Effect.provide(storesWith(ample)))
    )

    it.scoped("is told of any other refusal of the engine as it is", () =>
      Effect.gen(function* () {
        const { guard } = yield* Quota
        const other = new WriteRejected({
          lane: Lane.data,
          code: "SQLITE_CONSTRAINT_TRIGGER",
          detail: "another trigger"
        })
        const { write } = attempts()
        assert.strictEqual(yield* Effect.flip(guard("a1", write, Effect.fail(other))), other)
      }).pipe(Effect.provide(storesWith(ample)))
    )
  })

  describe("totals that are not those of the rows", () => {
    /** Rows that another program has deleted while this server was not there. */
    const deletedElsewhere = Effect.flatMap(QuotaWorld, ({ query }) =>
      query(`DELETE FROM "SessionMessage" WHERE "sessionId" = 's1'`)
    )

    it.scopedLive("refuse nothing that the rows permit", () =>
      Effect.gen(function* () {
        yield* prepared
        for (let count = 2; count < fewRows.rows; count++) yield* Stores.message("a1", "s1", 1)
        yield* untilExact("a1")
        yield* deletedElsewhere
        const over = yield* reopened
        yield* Effect.gen(function* () {
          assert.isUndefined(yield* Stores.refusalOf(Stores.message("a1", "s1", 1)))
          yield* assertExact("a1")
        }).pipe(over(fewRows))
      }).pipe(Effect.provide(storesWith(fewRows)))
    )

    it.scopedLive("are forgotten by a server without a quota", () =>
      Effect.gen(function* () {
        const over = yield* reopened
        yield* over(ample)(prepared)
        yield* over()(Stores.messages("a1", "s1", 50))
        assert.isUndefined((yield* over()(Stores.totals("a1"))).kept)
        yield* Effect.zipRight(Stores.message("a1", "s1", 1), untilExact("a1")).pipe(over(ample))
      }).pipe(Effect.provide(kind.world))
    )

    it.scopedLive("limit an account that has none by what it adds, until it is counted", () =>
      Effect.gen(function* () {
        yield* addTwoSessions
        yield* addMessages("s1", 50)
        assert.isUndefined(yield* Stores.refusalOf(Stores.message("a1", "s1", 1)))
        yield* untilExact("a1")
        assert.strictEqual(yield* Stores.refusalOf(Stores.message("a1", "s1", 1)), "rows")
      }).pipe(Effect.provide(storesWith(fewRows)))
    )
  })

  describe("what an account reads of it", () => {
    it.scopedLive("is counted where nothing is limited", () =>
      Effect.gen(function* () {
        yield* prepared
        const usage = yield* (yield* StorageUsage.make)("a1")
        assert.deepStrictEqual(usage, { bytes: 2 * 256 + 2 + 10 + 10, rows: 2, quota: null })
      }).pipe(Effect.provide(storesWith()))
    )
  })
}

for (const kind of kinds) kind.describe(`the quota over ${kind.name}`, () => suite(kind))
