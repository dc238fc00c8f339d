import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Presence from "../../src/Presence.ts"
import * as PresenceStorage from "../../src/presence/PresenceStorage.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import * as SimulatedReplicas from "../../src/testing/SimulatedReplicas.ts"
import { asPlain, sharedStorageSuite } from "../support/sharedStorageCases.ts"

/** The kinds of the contract, with marks. */
const marked = Object.fromEntries(
  Object.entries(PresenceStorageContract.kinds).map(([name, kind]) => [name, { ...kind, servedBy: "servedBy" }])
)

const contractWorld = Effect.gen(function* () {
  const clock = yield* Effect.clock
  const rows = PresenceStorage.memoryRows(marked)
  const nowMillis = () => clock.unsafeCurrentTimeMillis()
  const storage = yield* SimulatedReplicas.make(marked, rows, { nowMillis }).join()
  const world: PresenceStorageContract.World = {
    storage: asPlain(storage),
    insert: (kind, id, accountId, { active, lastActiveMillis }) => {
      const row = { id, active, lastActiveMillis }
      rows.set(kind, kind === "sensor" ? row : { ...row, accountId })
    },
    read: (kind, id, accountId = "a") => {
      const row = Array.from(rows.rowsOf(kind)).find(
        (row) => row.id === id && (kind !== "laptop" || row.accountId === accountId)
      )
      return row && { active: row.active, lastActiveMillis: row.lastActiveMillis }
    },
    chunkRows: 250
  }
  return world
})

PresenceStorageContract.suite({ describe, it }, "replicas in memory", contractWorld)

sharedStorageSuite("replicas in memory", (kinds) =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const rows = PresenceStorage.memoryRows(kinds)
    const database = SimulatedReplicas.make(kinds, rows, { nowMillis: () => clock.unsafeCurrentTimeMillis() })
    const age = (epoch: string, field: "startedMillis" | "beatMillis", seconds: number) =>
      Effect.sync(() => {
        const lease = database.leases.get(epoch)
        if (lease !== undefined) lease[field] -= seconds * 1_000
      })
    return {
      join: database.join(),
      insert: (id, row) =>
        Effect.sync(() => rows.set("device", { id, accountId: "a", active: false, lastActiveMillis: 0, ...row })),
      row: (id) =>
        Effect.sync(() => {
          const key = { kind: "device", id, accountId: "a" }
          return { active: rows.get(key)?.active ?? false, servedBy: database.servedBy(key) }
        }),
      ageLease: (epoch, seconds) => age(epoch, "beatMillis", seconds),
      ageStart: (epoch, seconds) => age(epoch, "startedMillis", seconds)
    }
  })
)

describe("SimulatedReplicas", () => {
  it.scoped("is away for a while, costs leases that long, and loses nothing", () =>
    Effect.gen(function* () {
      const kinds = { device: { servedBy: "servedBy" } }
      const rows = PresenceStorage.memoryRows(kinds)
      rows.set("device", { id: "d", active: false, lastActiveMillis: 0 })
      yield* TestClock.setTime(1_800_000_000_000)
      const clock = yield* Effect.clock
      const database = SimulatedReplicas.make(kinds, rows, { nowMillis: () => clock.unsafeCurrentTimeMillis() })
      const storage = yield* database.join()
      const presence = yield* Effect.provideService(Presence.make(kinds), PresenceStorage.PresenceStorage, storage)
      const epoch = storage.shared.replica.epoch()
      database.setAway(true)
      presence.connected({ kind: "device", id: "d" })
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude((yield* presence.status).replica, { isLeaseHeld: false, epoch, lostLeases: 0 })
      assert.isFalse(rows.get({ kind: "device", id: "d" })?.active)
      database.setAway(false)
      yield* TestClock.adjust("10 seconds")
      assert.notStrictEqual(storage.shared.replica.epoch(), epoch)
      assert.deepInclude((yield* presence.status).replica, { isLeaseHeld: true, lostLeases: 1 })
      assert.isTrue(rows.get({ kind: "device", id: "d" })?.active)
      assert.strictEqual(database.servedBy({ kind: "device", id: "d" }), storage.shared.replica.epoch())
      assert.isAbove(yield* Clock.currentTimeMillis, 0)
    })
  )
})
