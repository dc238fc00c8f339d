/**
 * Goal: presence of several replicas over one PostgreSQL is right, whichever of them dies, stands still or has a wrong
 * clock. Method: two or three of them with engines of their own in one process. Clocks run in real time, some of them
 * wrong; nothing waits for a lease to end, whose age is set in the table instead.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as PostgresReplica from "../../src/postgres/PostgresReplica.ts"
import * as PostgresTables from "../../src/postgres/PostgresTables.ts"
import * as PresenceMetrics from "../../src/presence/PresenceMetrics.ts"
import type { PresenceKinds } from "../../src/presence/PresenceKind.ts"
import * as PresenceStorageContract from "../../src/testing/PresenceStorageContract.ts"
import { device, makeReplica, makeReplicaWorld, openShared } from "../support/postgresReplica.ts"
import { describePostgres, makePostgres } from "../support/postgresWorld.ts"
import { asPlain, sharedStorageSuite } from "../support/sharedStorageCases.ts"

const start = Date.now()
const hour = 3_600_000

/** What a fiber of a replica does soon. */
const until = (isTrue: () => boolean | Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(async () => {
    // oxlint-disable-next-line no-await-in-loop
    while (!(await isTrue())) await new Promise<void>((resolve) => setTimeout(resolve, 5))
  })

describePostgres("the mark of a replica", () => {
  it.scopedLive("follows the client, and what it left behind is told to nobody", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d")
      const [one, other] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      one.presence.connected(device("d"))
      yield* one.presence.flush
      assert.deepStrictEqual(yield* world.row("d"), { active: true, servedBy: one.replica.epoch() })

      yield* world.moveTime("d", -500)
      other.presence.connected(device("d"))
      yield* other.presence.flush
      assert.deepStrictEqual(yield* world.row("d"), { active: true, servedBy: other.replica.epoch() })

      // The socket of the first was half open until now, so its time is the newer one.
      const entry = { ...device("d"), seenAtMillis: Date.now() + 100, state: "offline" as const }
      assert.deepStrictEqual((yield* one.storage.flush([entry])).elsewhere, [entry])
      one.presence.disconnected(device("d"))
      yield* one.presence.end({ kind: "sensor", id: "none" }, start)
      yield* one.presence.flush
      assert.deepStrictEqual(yield* world.row("d"), { active: true, servedBy: other.replica.epoch() })
      assert.deepStrictEqual(one.told, [])
    })
  )

  it.scopedLive("comes back with the client that was here before and elsewhere meanwhile", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d")
      const [one, other] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      for (const replica of [one, other, one]) {
        replica.presence.connected(device("d"))
        yield* replica.presence.flush
        assert.strictEqual((yield* world.row("d"))?.servedBy, replica.replica.epoch())
        yield* world.moveTime("d", -500)
      }
    })
  )

  it.scopedLive("does not keep an end out, which its replica then does not tell again", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d")
      const [one, other] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      one.presence.connected(device("d"))
      yield* one.presence.flush
      yield* world.moveTime("d", -500)
      yield* other.presence.end(device("d"), Date.now())
      assert.deepStrictEqual(yield* world.row("d"), { active: false, servedBy: other.replica.epoch() })
      assert.deepStrictEqual(other.told, [["d", "ended"]])
      const offline = { ...device("d"), seenAtMillis: Date.now(), state: "offline" as const }
      assert.deepStrictEqual((yield* one.storage.flush([offline])).elsewhere, [offline])
    })
  )

  it.scopedLive("keeps the sweep of other replicas out while the lease holds, and no longer", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("served", "free")
      const [one, other] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      const quiet = { ...device("served"), seenAtMillis: start - hour, state: "alive" as const }
      yield* one.storage.flush([quiet])
      yield* Effect.promise(() =>
        world.query(`UPDATE "Device" SET active = true, "lastActiveAt" = 1 WHERE id = 'free'`)
      )
      const believable = { firstMillis: start - 1_000, lastMillis: start + hour }
      const found = Effect.map(other.storage.findStale("device", believable, 1), ({ rows }) =>
        rows.map(({ key }) => key.id)
      )
      assert.deepStrictEqual(yield* found, ["free"])
      const keys = [device("served"), device("free")]
      assert.deepStrictEqual(
        (yield* other.storage.markOffline(keys, believable)).map(({ key }) => key.id),
        ["free"]
      )
      yield* world.ageLease(one.replica.epoch(), 16)
      assert.deepStrictEqual(yield* found, ["served"])
      const [swept, ...none] = yield* other.storage.markOffline(keys, believable)
      assert.deepStrictEqual([swept?.key, none], [device("served"), []])
      assert.approximately(swept?.lastSeenMillis ?? 0, start - hour, 1_000)
    })
  )
})

describePostgres("the takeover", () => {
  it.scopedLive("waits for the lease and the grace, and until the survivor has held its own lease for the grace", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d")
      const [dead, survivor] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      dead.presence.connected(device("d"))
      yield* dead.presence.flush
      const taken = Effect.map(survivor.storage.takeOver, (rows) => rows.map(({ key }) => key))
      yield* world.ageStart(survivor.replica.epoch(), 60)
      yield* world.ageLease(dead.replica.epoch(), 34)
      assert.deepStrictEqual(yield* taken, [], "the grace is not over")
      yield* world.ageLease(dead.replica.epoch(), 2)
      yield* world.ageStart(survivor.replica.epoch(), -45)
      assert.deepStrictEqual(yield* taken, [], "all were away, and rows have had no time to come back")
      yield* world.ageStart(survivor.replica.epoch(), 6)
      assert.deepStrictEqual(yield* taken, [device("d")])
      assert.strictEqual((yield* world.row("d"))?.active, false)
      assert.deepStrictEqual(yield* taken, [])
    })
  )

  it.scopedLive("tells each row once, whatever the number of survivors and rows", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      const ids = Array.from({ length: 1_200 }, (_, index) => `d${index}`)
      yield* world.insert(...ids)
      yield* Effect.promise(() =>
        world.query(`INSERT INTO "Seat" (id, room) VALUES ('1', 'red'), ('1', 'blue'), ('2', 'red')`)
      )
      const often = { beatInterval: "50 millis" } as const
      const dead = yield* makeReplica(world.url)
      const [one, other] = [yield* makeReplica(world.url, often), yield* makeReplica(world.url, often)]
      for (const id of ids) dead.presence.beat(device(id), Date.now())
      for (const accountId of ["red", "blue"]) dead.presence.connected({ kind: "seat", accountId, id: "1" })
      yield* dead.presence.flush
      // Came back in time: to a replica that lives.
      yield* world.moveTime("d7", -500)
      one.presence.connected(device("d7"))
      yield* one.presence.flush
      for (const { replica } of [one, other]) yield* world.ageStart(replica.epoch(), 60)
      const before = (yield* Metric.value(PresenceMetrics.takeovers("device"))).count
      yield* world.ageLease(dead.replica.epoch(), 60)
      yield* until(() => one.told.length + other.told.length >= 1_201)
      const told = [...one.told, ...other.told]
      assert.deepStrictEqual(
        told.toSorted(),
        [...ids.filter((id) => id !== "d7"), "1", "1"].map((id) => [id, "abandoned"] as const).toSorted()
      )
      assert.strictEqual((yield* Metric.value(PresenceMetrics.takeovers("device"))).count - before, 1_199)
      assert.deepStrictEqual(yield* world.row("d7"), { active: true, servedBy: one.replica.epoch() })
    })
  )

  it.scopedLive("waits for no row that another transaction holds, and removes leases that ended long ago", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("free", "held")
      const [dead, survivor] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      for (const id of ["free", "held"]) dead.presence.connected(device(id))
      yield* dead.presence.flush
      yield* world.ageStart(survivor.replica.epoch(), 60)
      yield* world.ageLease(dead.replica.epoch(), 60)
      const foreign = yield* Effect.promise(world.connect)
      yield* Effect.promise(() => foreign.query(`BEGIN; UPDATE "Device" SET active = active WHERE id = 'held'`))
      const taken = Effect.map(survivor.storage.takeOver, (rows) => rows.map(({ key }) => key.id))
      assert.deepStrictEqual(yield* taken, ["free"])
      yield* Effect.promise(() => foreign.query("COMMIT"))
      assert.deepStrictEqual(yield* taken, ["held"])
      yield* world.ageLease(dead.replica.epoch(), 3_600)
      yield* taken
      const left = yield* Effect.promise(() => world.query(`SELECT epoch FROM "Replica"`))
      assert.deepStrictEqual(left, [{ epoch: survivor.replica.epoch() }])
    })
  )

  it.scopedLive("begins with the grace after an orderly end, which wrote what waited", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d")
      const [leaving, survivor] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
      yield* world.ageStart(survivor.replica.epoch(), 60)
      leaving.presence.connected(device("d"))
      const epoch = leaving.replica.epoch()
      yield* leaving.close
      assert.deepStrictEqual(yield* world.row("d"), { active: true, servedBy: epoch })
      assert.deepStrictEqual(yield* survivor.storage.takeOver, [])
      yield* world.ageLease(epoch, 19)
      assert.deepStrictEqual(yield* survivor.storage.takeOver, [])
      yield* world.ageLease(epoch, 1)
      assert.lengthOf(yield* survivor.storage.takeOver, 1)
    })
  )
})

describePostgres("a replica that stood still", () => {
  it.scopedLive(
    "writes nothing but ends under a lease that is over, and serves under a new one what it still has",
    () =>
      Effect.gen(function* () {
        const world = yield* makeReplicaWorld
        yield* world.insert("here", "moved", "ended")
        const [suspended, other] = [yield* makeReplica(world.url), yield* makeReplica(world.url)]
        const epoch = suspended.replica.epoch()
        for (const id of ["here", "moved", "ended"]) suspended.presence.connected(device(id))
        yield* suspended.presence.flush
        yield* world.ageStart(other.replica.epoch(), 60)
        yield* world.ageLease(epoch, 60)
        yield* world.moveTime("moved", -500)
        other.presence.connected(device("moved"))
        yield* other.presence.flush
        yield* other.storage.takeOver
        assert.strictEqual((yield* world.row("here"))?.active, false)

        const before = (yield* Metric.value(PresenceMetrics.deferred)).count
        suspended.presence.beat(device("here"), Date.now())
        suspended.presence.disconnected(device("moved"))
        yield* suspended.presence.end(device("ended"), Date.now())
        const alive = { ...device("here"), seenAtMillis: Date.now(), state: "alive" as const }
        const report = yield* suspended.storage.flush([alive])
        assert.deepStrictEqual([report.written, report.deferred], [[], [alive]])
        const offline = { ...device("moved"), seenAtMillis: Date.now() + 100, state: "offline" as const }
        assert.deepStrictEqual((yield* suspended.storage.flush([offline])).deferred, [offline])
        assert.deepStrictEqual(yield* world.row("moved"), { active: true, servedBy: other.replica.epoch() })

        const lost = (yield* Metric.value(PresenceMetrics.leasesLost)).count
        yield* until(() => suspended.replica.epoch() !== epoch)
        assert.strictEqual((yield* Metric.value(PresenceMetrics.leasesLost)).count, lost + 1)
        yield* suspended.presence.flush
        yield* suspended.presence.flush
        assert.deepStrictEqual(yield* world.row("here"), { active: true, servedBy: suspended.replica.epoch() })
        assert.deepStrictEqual(yield* world.row("moved"), { active: true, servedBy: other.replica.epoch() })
        assert.strictEqual((yield* world.row("ended"))?.active, false)
        assert.deepInclude((yield* suspended.presence.status).replica, { isLeaseHeld: true, lostLeases: 1 })
        assert.isAtLeast((yield* Metric.value(PresenceMetrics.deferred)).count, before)
      })
  )

  it.scopedLive("keeps its lease while it beats", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      const { replica } = yield* makeReplica(world.url, { beatInterval: "50 millis" })
      const epoch = replica.epoch()
      const beatAt = async (): Promise<number> => {
        const [row] = await world.query(`SELECT "beatAt" FROM "Replica" WHERE epoch = $1`, [epoch])
        return Number(row?.["beatAt"])
      }
      yield* world.ageLease(epoch, 10)
      const before = yield* Effect.promise(beatAt)
      yield* until(async () => (await beatAt()) > before + 9_000)
      assert.strictEqual(replica.epoch(), epoch)
    })
  )
})

describePostgres("clocks that are apart", () => {
  it.scopedLive("falsify nothing: times are those of the database, in its rows and in memory", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      yield* world.insert("d", "late")
      const fast = yield* makeReplica(world.url, { ahead: 30_000 })
      const slow = yield* makeReplica(world.url, { ahead: -30_000 })
      assert.approximately(fast.replica.clockOffsetMillis(), -30_000, 20_000)
      assert.approximately(slow.replica.clockOffsetMillis() - fast.replica.clockOffsetMillis(), 60_000, 2_000)
      fast.presence.connected(device("d"))
      yield* fast.presence.flush
      const stored = async (): Promise<number> => {
        const [row] = await world.query(`SELECT "lastActiveAt" FROM "Device" WHERE id = 'd'`)
        return Number(row?.["lastActiveAt"])
      }
      const first = yield* Effect.promise(stored)
      assert.approximately(first, Date.now(), 20_000)
      // By their clocks the client comes back a minute before it left.
      yield* world.moveTime("d", -500)
      slow.presence.connected(device("d"))
      yield* slow.presence.flush
      assert.deepStrictEqual(yield* world.row("d"), { active: true, servedBy: slow.replica.epoch() })
      assert.isAbove(yield* Effect.promise(stored), first - 500)
      const { lastSeenMillis } = slow.presence.lastSeen(device("d")) ?? { lastSeenMillis: 0 }
      assert.approximately(lastSeenMillis, yield* Effect.promise(stored), 1_000)
      // A flush that the host asks for runs on the clock of presence, and not on its own: what is newer is not ahead.
      const slower = yield* makeReplica(world.url, { ahead: -600_000 })
      slower.presence.connected(device("late"))
      fast.presence.connected(device("late"))
      yield* fast.presence.flush
      yield* world.moveTime("late", 500)
      yield* slower.flush
      assert.deepStrictEqual(yield* world.row("late"), { active: true, servedBy: fast.replica.epoch() })
    })
  )
})

describePostgres("PostgresReplica", () => {
  it.scopedLive("says what is missing before it begins", () =>
    Effect.gen(function* () {
      const ddl = PostgresTables.ddl({ device: { table: "Device", servedBy: "servedBy" } })
      const { url } = yield* makePostgres(ddl)
      const failure = yield* Effect.flip(makeReplica(url))
      assert.include(String(failure), `relation "Replica" does not exist`)
    })
  )

  it.scopedLive("refuses durations that cannot keep a lease", () =>
    Effect.gen(function* () {
      const world = yield* makeReplicaWorld
      const failure = yield* Effect.flip(makeReplica(world.url, { lease: 0, grace: Infinity, beatInterval: 0 }))
      assert.include(String(failure), "beatInterval must be above zero")
      assert.include(String(failure), "grace must be finite and not negative")
      const short = yield* Effect.flip(makeReplica(world.url, { lease: "5 seconds" }))
      assert.include(String(short), "lease must be finite and at least three times beatInterval")
    })
  )

  it("has the table of the leases as text", () => {
    assert.include(PostgresTables.replicaDdl, `CREATE TABLE IF NOT EXISTS "Replica"`)
    assert.isFunction(PostgresReplica.layer)
  })
})

/** The kinds of the contract, with marks. */
const marked = Object.fromEntries(
  Object.entries(PresenceStorageContract.kinds).map(([name, kind]) => [name, { ...kind, servedBy: "servedBy" }])
)

const contractWorld = Effect.gen(function* () {
  const { query, url } = yield* makePostgres(PostgresTables.ddl(marked) + PostgresTables.replicaDdl)
  const storage = yield* openShared(url, marked)
  const tableOf = (kind: PresenceStorageContract.ContractKind) => PresenceStorageContract.kinds[kind].table
  const world: PresenceStorageContract.World = {
    storage: asPlain(storage),
    chunkRows: 60,
    insert: async (kind, id, accountId, { active, lastActiveMillis }) => {
      const hasAccount = kind !== "sensor"
      await query(
        `INSERT INTO "${tableOf(kind)}" (id, active, "lastActiveAt"${hasAccount ? `, "accountId"` : ""})
         VALUES ($1, $2, $3${hasAccount ? ", $4" : ""})`,
        [id, active, lastActiveMillis, ...(hasAccount ? [accountId] : [])]
      )
    },
    read: async (kind, id, accountId = "a") => {
      const [row] = await query(
        `SELECT active, "lastActiveAt" FROM "${tableOf(kind)}"
         WHERE id = $1 AND ${kind === "laptop" ? `"accountId"` : "'a'"} = $2`,
        [id, kind === "laptop" ? accountId : "a"]
      )
      return row && { active: row["active"] === true, lastActiveMillis: Number(row["lastActiveAt"]) }
    }
  }
  return world
})

describePostgres("the storage of a replica", () => {
  PresenceStorageContract.suite({ describe, it }, "PostgreSQL, shared", contractWorld)

  sharedStorageSuite("PostgreSQL", (kinds: PresenceKinds) =>
    Effect.map(makeReplicaWorld, (world) => ({
      ...world,
      join: openShared(world.url, kinds),
      insert: (id: string, { active, lastActiveMillis } = { active: false, lastActiveMillis: 0 }) =>
        Effect.promise(() =>
          world.query(`INSERT INTO "Device" (id, "accountId", active, "lastActiveAt") VALUES ($1, 'a', $2, $3)`, [
            id,
            active,
            lastActiveMillis
          ])
        ),
      row: (id: string) =>
        Effect.map(world.row(id), (row) => ({ active: row?.active ?? false, servedBy: row?.servedBy ?? undefined }))
    }))
  )
})
