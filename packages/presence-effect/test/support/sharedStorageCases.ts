/** What a storage does that several replicas share, whatever the database is. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { FlushEntry, FlushState } from "../../src/presence/FlushBatch.ts"
import type { PresenceStorage } from "../../src/presence/PresenceStorage.ts"

export const sharedKinds = { device: { table: "Device", accountId: "accountId", servedBy: "servedBy" } } as const

export interface SharedWorld {
  readonly join: Effect.Effect<PresenceStorage["Type"], unknown, Scope.Scope>
  readonly insert: (
    id: string,
    row?: { readonly active: boolean; readonly lastActiveMillis: number }
  ) => Effect.Effect<unknown>
  readonly row: (id: string) => Effect.Effect<{ readonly active: boolean; readonly servedBy: string | undefined }>
  /** As if the replica had not beaten for so long, by the clock of the database. */
  readonly ageLease: (epoch: string, seconds: number) => Effect.Effect<unknown>
  /** As if the lease had begun so long ago. */
  readonly ageStart: (epoch: string, seconds: number) => Effect.Effect<unknown>
}

/** The storage as the contract of all storages sees it: what only a shared one reports of an end is left out. */
export const asPlain = (storage: PresenceStorage["Type"]): PresenceStorage["Type"] => ({
  ...storage,
  flush: (batch, lane) =>
    Effect.map(storage.flush(batch, lane), (report) => ({
      ...report,
      written: report.written.map((entry) => {
        const { wasActive, ...others } = entry
        return wasActive === undefined ? entry : others
      })
    }))
})

const minute = 60_000

export const sharedStorageSuite = (
  name: string,
  make: (kinds: typeof sharedKinds) => Effect.Effect<SharedWorld, unknown, Scope.Scope>
): void => {
  const worlds = Effect.gen(function* () {
    const world = yield* make(sharedKinds)
    const joined = Effect.map(world.join, (storage) => {
      const { shared } = storage
      if (shared === undefined) throw new Error("the storage is not shared")
      return {
        ...storage,
        epoch: shared.replica.epoch,
        taken: Effect.map(shared.takeOver(500), (rows) => rows.map(({ key }) => key.id).toSorted())
      }
    })
    const [one, other] = [yield* joined, yield* joined]
    return { ...world, one, other }
  })
  const entry = (id: string, state: FlushState, agoMillis = 0): FlushEntry => ({
    kind: "device",
    id,
    accountId: "a",
    seenAtMillis: Date.now() - agoMillis,
    state
  })

  describe(`a shared storage: ${name}`, () => {
    it.scopedLive("marks a row for the newest sign of life", () =>
      Effect.gen(function* () {
        const { insert, one, other, row } = yield* worlds
        yield* insert("d")
        yield* one.flush({ entries: [entry("d", "alive", 2 * minute)] })
        assert.deepStrictEqual(yield* row("d"), { active: true, servedBy: one.epoch() })
        yield* other.flush({ entries: [entry("d", "alive", 3 * minute)] })
        assert.strictEqual((yield* row("d")).servedBy, one.epoch(), "an older one claims nothing")
        yield* other.flush({ entries: [entry("d", "alive", minute)] })
        assert.deepStrictEqual(yield* row("d"), { active: true, servedBy: other.epoch() })
      })
    )

    it.scopedLive("lets a replica show those rows offline that it serves, or that nobody ever did", () =>
      Effect.gen(function* () {
        const { insert, one, other, row } = yield* worlds
        yield* insert("mine")
        yield* insert("theirs")
        yield* insert("free", { active: true, lastActiveMillis: 1 })
        yield* one.flush({ entries: [entry("mine", "alive", minute)] })
        yield* other.flush({ entries: [entry("theirs", "alive", minute)] })
        const theirs = entry("theirs", "offline")
        const report = yield* one.flush({ entries: [entry("mine", "offline"), theirs, entry("free", "offline")] })
        assert.deepStrictEqual(report.written.map(({ id }) => id).toSorted(), ["free", "mine"])
        assert.deepStrictEqual(report.elsewhere, [theirs])
        assert.deepStrictEqual(report.missing, [])
        assert.deepStrictEqual(yield* row("theirs"), { active: true, servedBy: other.epoch() })
        assert.deepStrictEqual([(yield* row("mine")).active, (yield* row("free")).active], [false, false])
        // What another replica wrote to the row stays: the time of a drop is no sign of life.
        const again = yield* other.flush({ entries: [entry("theirs", "alive", minute / 2)] })
        assert.deepStrictEqual(again.written[0]?.storedMillis, undefined)
      })
    )

    it.scopedLive("stores an end of a row that another replica serves, even after its own lease has expired", () =>
      Effect.gen(function* () {
        const { ageLease, insert, one, other, row } = yield* worlds
        yield* insert("d")
        yield* one.flush({ entries: [entry("d", "alive", minute)] })
        yield* ageLease(other.epoch(), 60)
        const end = entry("d", "ended")
        assert.deepStrictEqual((yield* other.flush({ entries: [end] })).written, [{ ...end, wasActive: true }])
        assert.deepStrictEqual((yield* other.flush({ entries: [end] })).written, [end])
        assert.deepStrictEqual(yield* row("d"), { active: false, servedBy: other.epoch() })
        const late = entry("d", "offline")
        assert.deepStrictEqual((yield* one.flush({ entries: [late] })).elsewhere, [late])
      })
    )

    it.scopedLive("defers what is not an end while the own lease is over, and reports missing rows all the same", () =>
      Effect.gen(function* () {
        const { ageLease, insert, one, row } = yield* worlds
        yield* insert("d", { active: true, lastActiveMillis: 1 })
        yield* ageLease(one.epoch(), 16)
        const [alive, gone] = [entry("d", "alive"), entry("gone", "alive")]
        const report = yield* one.flush({ entries: [alive, gone] })
        assert.deepStrictEqual([report.written, report.deferred, report.missing], [[], [alive], [gone]])
        assert.strictEqual((yield* row("d")).servedBy, undefined)
        const believable = { firstMillis: Date.now() - minute, lastMillis: Date.now() + minute }
        assert.deepStrictEqual(yield* one.markOffline([alive], believable), [])
      })
    )

    it.scopedLive(
      "gives a row whose lease is over to the replica that has what is stored, and not to an older sign",
      () =>
        Effect.gen(function* () {
          const { ageLease, insert, one, other, row } = yield* worlds
          yield* insert("d")
          const sign = entry("d", "alive", minute)
          yield* one.flush({ entries: [sign] })
          yield* other.flush({ entries: [sign] })
          assert.deepStrictEqual(yield* row("d"), { active: true, servedBy: one.epoch() })
          yield* ageLease(one.epoch(), 16)
          yield* other.flush({ entries: [entry("d", "alive", 2 * minute)] })
          assert.deepStrictEqual(yield* row("d"), { active: true, servedBy: one.epoch() })
          yield* other.flush({ entries: [sign] })
          assert.deepStrictEqual(yield* row("d"), { active: true, servedBy: other.epoch() })
        })
    )

    it.scopedLive("takes over after the lease and the grace, once, and not right after all were away", () =>
      Effect.gen(function* () {
        const { ageLease, ageStart, insert, one, other, row } = yield* worlds
        for (const id of ["a", "b", "moved"]) yield* insert(id)
        yield* one.flush({ entries: ["a", "b", "moved"].map((id) => entry(id, "alive", minute)) })
        yield* other.flush({ entries: [entry("moved", "alive")] })
        yield* ageLease(one.epoch(), 34)
        yield* ageStart(other.epoch(), 19)
        assert.deepStrictEqual(yield* other.taken, [])
        yield* ageLease(one.epoch(), 2)
        assert.deepStrictEqual(yield* other.taken, [], "its own lease is younger than the grace")
        yield* ageStart(other.epoch(), 2)
        assert.deepStrictEqual(yield* one.taken, [], "its own lease is over")
        assert.deepStrictEqual(yield* other.taken, ["a", "b"])
        assert.deepStrictEqual(yield* other.taken, [])
        assert.deepStrictEqual([(yield* row("a")).active, (yield* row("moved")).active], [false, true])
      })
    )

    it.scopedLive("sweeps no row that a replica with a lease serves, however old its time is", () =>
      Effect.gen(function* () {
        const { ageLease, insert, one, other } = yield* worlds
        for (const id of ["served", "own"]) yield* insert(id)
        yield* insert("free", { active: true, lastActiveMillis: 1 })
        yield* one.flush({ entries: [entry("served", "alive", 60 * minute)] })
        yield* other.flush({ entries: [entry("own", "alive", 60 * minute)] })
        const believable = { firstMillis: Date.now() - minute, lastMillis: Date.now() + minute }
        const found = Effect.map(other.findStale("device", believable, 10), ({ rows }) =>
          rows.map(({ key }) => key.id).toSorted()
        )
        assert.deepStrictEqual(yield* found, ["free", "own"])
        const keys = ["served", "own", "free"].map((id) => ({ kind: "device", id, accountId: "a" }))
        const marked = yield* other.markOffline(keys, believable)
        assert.deepStrictEqual(marked.map(({ key }) => key.id).toSorted(), ["free", "own"])
        yield* ageLease(one.epoch(), 16)
        assert.deepStrictEqual(yield* found, ["served"])
      })
    )
  })
}
