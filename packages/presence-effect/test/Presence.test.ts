import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Lane from "../src/writer/Lane.ts"
import * as Presence from "../src/Presence.ts"
import * as PresenceConfig from "../src/presence/PresenceConfig.ts"
import * as PresenceStorage from "../src/presence/PresenceStorage.ts"
import * as SimulatedDatabase from "../src/testing/SimulatedDatabase.ts"
import * as SqliteWriter from "../src/writer/SqliteWriter.ts"
import * as ScriptedStorage from "./support/scriptedStorage.ts"
import * as Sqlite from "./support/sqliteStorage.ts"
import { kinds, session, TestPresence } from "./support/kinds.ts"

const start = 1_800_000_000_000
const key = session("a", "s")
const settle = Effect.yieldNow().pipe(Effect.repeatN(32))

const makeWorld = (options?: Partial<PresenceConfig.PresenceConfig>) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const scripted = ScriptedStorage.make()
    scripted.rows.set("session", { id: "s", accountId: "a", active: true, lastActiveMillis: start - 1 })
    const presence = yield* Presence.make(kinds, options).pipe(
      Effect.provideService(PresenceStorage.PresenceStorage, scripted.storage)
    )
    const told: Array<string> = []
    yield* presence.onTransition(({ key, reason }) => told.push(`${key.id} ${reason}`))
    return { presence, scripted, told, row: () => scripted.rows.get(session("a", "s")) }
  })

describe("Presence", () => {
  it.scoped("writes a heartbeat with the next tick", () =>
    Effect.gen(function* () {
      const { presence, row } = yield* makeWorld()
      assert.strictEqual(presence.beat(key, start), "online")
      assert.deepStrictEqual(presence.lastSeen(key), { isOnline: true, lastSeenMillis: start })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(row(), { id: "s", accountId: "a", active: true, lastActiveMillis: start })
    })
  )

  it.scoped("ends a row at once in memory and by a control write, and lets nothing older revive it", () =>
    Effect.gen(function* () {
      const { presence, row, scripted, told } = yield* makeWorld()
      presence.beat(key, start)
      yield* presence.end(key, start)
      assert.strictEqual(scripted.batches[0]?.lane, "control")
      assert.deepStrictEqual(row(), { id: "s", accountId: "a", active: false, lastActiveMillis: start })
      assert.deepStrictEqual(told, ["s ended"])
      assert.strictEqual(presence.beat(key, start), "ended")
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(row()?.active, false)
    })
  )

  it.scoped("keeps an end that could not be written for the next tick", () =>
    Effect.gen(function* () {
      const { presence, row, scripted } = yield* makeWorld()
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      yield* presence.end(key, start)
      assert.strictEqual(row()?.active, true)
      assert.isFalse(presence.lastSeen(key)?.isOnline)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(row()?.active, false)
    })
  )

  it.scoped("does not revive an ended row with a batch that was taken before the end", () =>
    Effect.gen(function* () {
      const { presence, row, scripted } = yield* makeWorld()
      const latch = yield* Deferred.make<void>()
      presence.beat(key, start)
      scripted.script.push((batch) =>
        Effect.zipRight(Deferred.await(latch), PresenceStorage.makeMemory(scripted.rows).flush(batch))
      )
      yield* TestClock.adjust("5 seconds")
      yield* presence.end(key, start + 5_000)
      assert.strictEqual(row()?.active, false)
      yield* Deferred.succeed(latch, undefined)
      yield* settle
      assert.strictEqual(row()?.active, false)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(row()?.active, false)
    })
  )

  it.scoped("writes and remembers the end of a row that there is no room to track", () =>
    Effect.gen(function* () {
      const { presence, row } = yield* makeWorld({ capacity: 1 })
      presence.beat(session("a", "other"), start)
      assert.strictEqual(presence.connected(key), "full")
      yield* presence.end(key, start)
      assert.strictEqual(row()?.active, false)
      assert.strictEqual((yield* presence.status).trackedCount, 2)
      assert.strictEqual(presence.beat(key, start), "ended")
    })
  )

  it.scoped("shows a disconnected row offline after the grace and one tick, at most", () =>
    Effect.gen(function* () {
      const { presence, row, told } = yield* makeWorld({ startGrace: "15 seconds" })
      presence.connected(key)
      yield* TestClock.adjust("20 seconds")
      presence.disconnected(key)
      yield* TestClock.adjust("14 seconds")
      assert.strictEqual(row()?.active, true)
      yield* TestClock.adjust("7 seconds")
      assert.strictEqual(row()?.active, false)
      assert.deepStrictEqual(told, ["s disconnected"])
      assert.isUndefined(presence.lastSeen(key))
    })
  )

  it.scoped("shows a silent row offline after the timeout and tells it once", () =>
    Effect.gen(function* () {
      const { presence, row, told } = yield* makeWorld({
        offlineTimeout: "1 minute",
        acceptanceWindow: "1 minute",
        startGrace: "15 seconds"
      })
      presence.beat(key, start)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(row()?.active, true)
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual(row()?.active, false)
      assert.deepStrictEqual(told, ["s silent"])
    })
  )

  it.scoped("tells every listener, also after one of them threw, until its scope closes", () =>
    Effect.gen(function* () {
      const lines: Array<ScriptedStorage.Line> = []
      const { presence, told } = yield* makeWorld()
      yield* presence.onTransition(() => {
        throw new Error("listener is broken")
      })
      const late: Array<string> = []
      yield* Effect.scoped(presence.onTransition(() => late.push("closed")))
      yield* presence.onTransition(({ reason }) => late.push(reason))
      yield* presence.end(key, start).pipe(Effect.provide(ScriptedStorage.layerLog(lines)))
      assert.deepStrictEqual(told, ["s ended"])
      assert.deepStrictEqual(late, ["ended"])
      assert.strictEqual(lines[0]?.code, "PresenceListenerFailed")
    })
  )

  it.scoped("reports what it tracks, what waits since when, and how flushes go", () =>
    Effect.gen(function* () {
      const { presence, scripted } = yield* makeWorld()
      presence.beat(key, start)
      assert.deepStrictEqual(yield* presence.status, {
        trackedCount: 1,
        capacity: 1_000_000,
        pendingCount: 1,
        parkedCount: 0,
        oldestPendingMillis: start,
        lastFlushMillis: undefined,
        consecutiveFlushFailures: 0
      })
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* presence.status, { pendingCount: 1, consecutiveFlushFailures: 1 })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* presence.status, {
        pendingCount: 0,
        oldestPendingMillis: undefined,
        lastFlushMillis: start + 10_000
      })
    })
  )

  it.scoped("forgets a row that was deleted", () =>
    Effect.gen(function* () {
      const { presence, scripted } = yield* makeWorld()
      presence.beat(key, start)
      presence.forget(key)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(scripted.batches.length, 0)
    })
  )

  it.scoped("writes what waits when it is told to, and keeps what could not be written", () =>
    Effect.gen(function* () {
      const { presence, row, scripted } = yield* makeWorld()
      presence.beat(key, start)
      scripted.script.push(ScriptedStorage.failAfter(scripted, 0))
      assert.isUndefined(yield* presence.flush)
      assert.deepInclude(yield* presence.status, { pendingCount: 1, consecutiveFlushFailures: 1 })
      yield* presence.flush
      assert.strictEqual(row()?.lastActiveMillis, start)
      assert.deepInclude(yield* presence.status, { pendingCount: 0, consecutiveFlushFailures: 0 })
    })
  )

  it.scoped("answers nothing for an end, whatever became of it", () =>
    Effect.gen(function* () {
      const { presence } = yield* makeWorld({ capacity: 1 })
      presence.beat(key, start)
      assert.isUndefined(yield* presence.end(key, start))
      assert.isUndefined(yield* presence.end(session("b", "s"), start), "foreign")
      for (let index = 0; index < 9; index++) yield* presence.end(session("a", `more ${index}`), start)
      assert.isUndefined(yield* presence.end(session("a", "beyond"), start), "no room")
      assert.isUndefined(yield* presence.end(session("a", "\ud800"), start), "no id")
    })
  )

  it.scoped("throws for a kind that was not declared, by name, and tracks nothing", () =>
    Effect.gen(function* () {
      const { presence } = yield* makeWorld()
      const stranger = { kind: "sesion", accountId: "a", id: "s" } as never
      for (const report of [
        () => presence.beat(stranger, start),
        () => presence.seen(stranger),
        () => presence.connected(stranger),
        () => presence.disconnected(stranger),
        () => presence.forget(stranger),
        () => presence.lastSeen(stranger)
      ]) {
        assert.throws(report, 'no kind "sesion" is declared, only session, machine')
      }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(presence.end(stranger, start))))
      assert.strictEqual((yield* presence.status).trackedCount, 0)
    })
  )

  it.scoped("gives each kind its own grace, silence and threshold, and the common ones to the others", () =>
    Effect.gen(function* () {
      const { presence, scripted, told } = yield* makeWorld({
        startGrace: "1 minute",
        kinds: {
          session: { disconnectGrace: "1 minute" },
          machine: { offlineTimeout: "1 minute", acceptanceWindow: "2 minutes", persistThreshold: 0 }
        }
      })
      const machine = { kind: "machine", accountId: "a", id: "m" } as const
      scripted.rows.set("machine", { accountId: "a", id: "m", active: true, lastActiveMillis: start - 1 })
      yield* TestClock.adjust("2 minutes")
      told.length = 0
      const began = start + 120_000
      presence.connected(key)
      presence.connected(machine)
      yield* presence.flush
      yield* TestClock.adjust("1 second")
      presence.seen(key)
      presence.seen(machine)
      yield* presence.flush
      const times = [scripted.rows.get(key), scripted.rows.get(machine)].map((row) => row?.lastActiveMillis)
      assert.deepStrictEqual(times, [began, began + 1_000], "only the machine has no threshold")
      presence.disconnected(key)
      presence.disconnected(machine)
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(told, ["m disconnected"])
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(told, ["m disconnected"])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(told, ["m disconnected", "s disconnected"])

      presence.seen(key)
      presence.seen(machine)
      assert.strictEqual(presence.beat({ ...machine, id: "late" }, began - 100_000), "ancient")
      assert.strictEqual(presence.beat({ ...key, id: "late" }, began - 100_000), "online")
      yield* TestClock.adjust("80 seconds")
      assert.deepStrictEqual(told.slice(2), ["m silent"])
    })
  )

  it.scoped("sweeps each kind by its own silence", () =>
    Effect.gen(function* () {
      const { scripted, told } = yield* makeWorld({
        kinds: { machine: { offlineTimeout: "5 minutes", acceptanceWindow: "10 minutes" } }
      })
      // Restarted: nobody reports, and both rows were seen after the start by another process.
      yield* TestClock.adjust("2 minutes")
      told.length = 0
      const seen = { accountId: "a", active: true, lastActiveMillis: start + 120_000 }
      scripted.rows.set("session", { ...seen, id: "s" })
      scripted.rows.set("machine", { ...seen, id: "m" })
      yield* TestClock.adjust("6 minutes")
      assert.deepStrictEqual(told, ["m silent"])
      yield* TestClock.adjust("6 minutes")
      assert.deepStrictEqual(told, ["m silent", "s silent"])
    })
  )

  it.effect("flushes for the last time when its scope closes", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const rows = PresenceStorage.memoryRows(kinds)
      rows.set("session", { id: "s", accountId: "a", active: false, lastActiveMillis: 0 })
      yield* Effect.map(TestPresence, (presence) => presence.beat(key, start)).pipe(
        Effect.provide(Presence.layerMemory(TestPresence, {}, rows))
      )
      assert.strictEqual(rows.get(session("a", "s"))?.active, true)
    })
  )

  it.effect("refuses knobs that contradict each other, by name, from options and from a Config", () =>
    Effect.gen(function* () {
      const knobs = { disconnectGrace: "1 hour" } as const
      const direct = yield* Effect.flip(Layer.launch(Presence.layerMemory(TestPresence, knobs)))
      assert.strictEqual(direct._tag, "ConfigInvalid")
      assert.match(direct.message, /disconnectGrace/)
    })
  )

  it.scoped("runs over SQLite with the chunk of its configuration", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(start)
      const engine = yield* Effect.acquireRelease(Effect.sync(Sqlite.open), (open) => Effect.sync(() => open.close()))
      const log = Sqlite.makeLog()
      const layer = Presence.layerSqlite(TestPresence, { chunkRows: 60 }).pipe(
        Layer.provide([Sqlite.layerWriter(engine, log), Sqlite.layerReader(engine)])
      )
      const context = yield* Layer.build(layer)
      yield* Effect.gen(function* () {
        const presence = yield* TestPresence
        for (let index = 0; index < 61; index++) {
          Sqlite.insert(engine, "Session", { id: `s${index}`, accountId: "a", active: false, at: 1 })
          presence.beat(session("a", `s${index}`), start)
        }
        const tick = yield* Effect.fork(TestClock.adjust("5 seconds"))
        yield* Fiber.join(tick)
      }).pipe(Effect.provide(context))
      assert.deepStrictEqual(log.rowCounts, [60, 1])
      assert.deepStrictEqual(engine.prepare("SELECT count(*) AS n FROM Session WHERE active = 1").get(), { n: 61 })
    })
  )

  it.effect("takes its knobs from a Config", () =>
    Effect.gen(function* () {
      const config = yield* PresenceConfig.config
      const presence = yield* Effect.scoped(
        Presence.make(kinds, config).pipe(
          Effect.provideService(
            PresenceStorage.PresenceStorage,
            PresenceStorage.makeMemory(PresenceStorage.memoryRows(kinds))
          )
        )
      )
      assert.strictEqual((yield* presence.status).capacity, PresenceConfig.defaults.capacity)
    })
  )

  it.scoped("writes its ends and ticks in the lanes of its configuration", () =>
    Effect.gen(function* () {
      const lanes = { lane: Lane.make("life"), endLane: Lane.make("urgent") }
      const { presence, scripted } = yield* makeWorld(lanes)
      presence.beat(key, start)
      yield* TestClock.adjust("5 seconds")
      yield* presence.end(key, start + 5_000)
      assert.deepStrictEqual(
        scripted.batches.map(({ lane }) => lane),
        ["life", "urgent"]
      )
    })
  )

  it.scoped("writes the first heartbeat also when a test has not moved its clock from zero", () =>
    Effect.gen(function* () {
      const rows = PresenceStorage.memoryRows(TestPresence.kinds)
      rows.set("session", { id: "s", accountId: "a", active: false, lastActiveMillis: 0 })
      const database = yield* SimulatedDatabase.make({ schema: Sqlite.ddl })
      database.execute(`INSERT INTO "Session" VALUES ('s', 'a', '{}', 0, 0, 0)`)
      const sqlite = Presence.layerSqlite(TestPresence).pipe(
        Layer.provide(SqliteWriter.layer()),
        Layer.provide(database.layer)
      )
      for (const layer of [Presence.layerMemory(TestPresence, {}, rows), sqlite]) {
        const presence = Context.get(yield* Layer.build(layer), TestPresence)
        assert.strictEqual(presence.beat(key, 0), "online")
        yield* presence.flush
        assert.strictEqual(presence.lastSeen(key)?.isOnline, true)
      }
      assert.strictEqual(rows.get(key)?.active, true)
      assert.deepStrictEqual(database.query("SELECT active, lastActiveAt FROM Session"), [
        { active: 1, lastActiveAt: 0 }
      ])
    })
  )

  it.scoped("costs nothing while nothing happens: a day of an idle layer is a few wake-ups", () =>
    Effect.gen(function* () {
      const { presence, scripted } = yield* makeWorld({ sweepInterval: "1 hour" })
      presence.beat(key, start)
      yield* TestClock.adjust("1 hour")
      const before = performance.now()
      yield* TestClock.adjust("1 day")
      assert.isBelow(performance.now() - before, 15_000)
      assert.isUndefined(presence.lastSeen(key))
      assert.strictEqual(scripted.batches.length, 2)
    })
  )
})
