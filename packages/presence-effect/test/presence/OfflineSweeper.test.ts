import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as OfflineSweeper from "../../src/presence/OfflineSweeper.ts"
import * as PresenceRegistry from "../../src/presence/PresenceRegistry.ts"
import { PresenceStorage, StorageUnreadable } from "../../src/presence/PresenceStorage.ts"
import * as ScriptedStorage from "../support/scriptedStorage.ts"
import { kinds, machine, session } from "../support/kinds.ts"

const start = 1_800_000_000_000
const hour = 3_600_000
const key = session("a", "s")

const settle = Effect.yieldNow().pipe(Effect.repeatN(32))

const makeWorld = (options?: Partial<OfflineSweeper.SweeperOptions>, onSleep: () => void = () => undefined) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const scripted = ScriptedStorage.make()
    const base = yield* Effect.clock
    // What a stopped process and a clock that is set look like: the time jumps, and no fiber woke up in between.
    const jumped = { millis: 0 }
    const clock: Clock.Clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: () => base.unsafeCurrentTimeMillis() + jumped.millis,
      unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos() + BigInt(jumped.millis) * 1_000_000n,
      currentTimeMillis: Effect.sync(() => clock.unsafeCurrentTimeMillis()),
      currentTimeNanos: Effect.sync(() => clock.unsafeCurrentTimeNanos()),
      sleep: (duration) => Effect.zipRight(Effect.sync(onSleep), base.sleep(duration))
    }
    const registry = PresenceRegistry.make(kinds, {
      acceptanceWindow: "10 minutes",
      persistThreshold: "30 seconds",
      offlineTimeout: "10 minutes",
      disconnectGrace: options?.disconnectGrace ?? "15 seconds",
      capacity: 10_000
    })
    const told: Array<PresenceRegistry.Transition> = []
    yield* OfflineSweeper.make({
      persistThreshold: "30 seconds",
      offlineTimeout: "10 minutes",
      acceptanceWindow: "10 minutes",
      sweepInterval: "60 seconds",
      disconnectGrace: "15 seconds",
      startGrace: "60 seconds",
      onTransitions: (transitions) => Effect.sync(() => told.push(...transitions)),
      ...options
    }).pipe(
      Effect.provideService(PresenceRegistry.PresenceRegistry, registry),
      Effect.provideService(PresenceStorage, scripted.storage),
      Effect.withClock(clock)
    )
    const silent = (id: string, lastActiveMillis = start - hour) =>
      scripted.rows.set("session", { id: id, accountId: "a", active: true, lastActiveMillis })
    const isActive = (id: string) => scripted.rows.get(session("a", id))?.active
    return { scripted, registry, told, silent, isActive, jumped }
  })

describe("the sweep of the database", () => {
  it.scoped("takes untracked rows offline, and announces each after its commit", () =>
    Effect.gen(function* () {
      const { isActive, scripted, silent, told } = yield* makeWorld()
      silent("s")
      scripted.rows.set("machine", { id: "m", accountId: "b", active: true, lastActiveMillis: start - hour })
      yield* TestClock.adjust("60 seconds")
      yield* TestClock.adjust("60 seconds")
      assert.isFalse(isActive("s"))
      assert.deepStrictEqual(told, [
        { key, lastSeenMillis: start - hour, reason: "silent" },
        { key: machine("b", "m"), lastSeenMillis: start - hour, reason: "silent" }
      ])
    })
  )

  it.scoped("does not leave a row online for a month because the clock was a month ahead once", () =>
    Effect.gen(function* () {
      const { isActive, registry, scripted, silent, told } = yield* makeWorld()
      silent("month", start + 30 * 24 * hour)
      silent("minute", start + 60_000)
      silent("online", start + 30 * 24 * hour)
      registry.beat(session("a", "online"), start, start)
      yield* TestClock.adjust("2 minutes")
      assert.isFalse(isActive("month"))
      assert.isTrue(isActive("minute"))
      assert.isTrue(isActive("online"))
      assert.deepStrictEqual(scripted.marked.flat(), ["month"])
      const [first, ...others] = told
      assert.deepInclude(first, { key: session("a", "month"), reason: "silent" })
      assert.isAtMost(first?.lastSeenMillis ?? Infinity, start + 120_000)
      assert.deepStrictEqual(others, [])
    })
  )

  it.scoped("leaves rows alone that memory holds online or has a change of", () =>
    Effect.gen(function* () {
      const { isActive, registry, scripted, silent, told } = yield* makeWorld()
      silent("online")
      silent("ending")
      registry.beat(session("a", "online"), start, start)
      registry.end(session("a", "ending"), start, start)
      yield* TestClock.adjust("3 minutes")
      assert.deepStrictEqual(scripted.marked, [])
      assert.isTrue(isActive("online"))
      assert.deepStrictEqual(told, [])
    })
  )

  it.scoped("judges a page with one statement, and every page", () =>
    Effect.gen(function* () {
      const { scripted, silent, told } = yield* makeWorld()
      for (let index = 0; index < 1_001; index++) silent(`s${index}`)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(
        scripted.marked.map((ids) => ids.length),
        [500, 500, 1]
      )
      assert.strictEqual(told.length, 1_001)
    })
  )

  it.scoped("writes a row again that came back while the statement waited, and announces nothing", () =>
    Effect.gen(function* () {
      const { isActive, registry, scripted, silent, told } = yield* makeWorld()
      silent("s")
      const latch = yield* Deferred.make<void>()
      scripted.aroundMark = (self) => Effect.zipRight(Deferred.await(latch), self)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(scripted.marked.length, 1)
      registry.beat(key, start + 120_000, start + 120_000)
      registry.confirm({ written: registry.takeDirty().entries, superseded: [], missing: [] })
      yield* Deferred.succeed(latch, undefined)
      yield* settle
      assert.isFalse(isActive("s"), "the statement was faster than the flush")
      assert.deepStrictEqual(told, [])
      assert.deepStrictEqual(
        registry.takeDirty().entries.map(({ state }) => state),
        ["alive"]
      )
    })
  )

  it.scoped("tries again with the next sweep when the store cannot be read or written", () =>
    Effect.gen(function* () {
      const { isActive, scripted, silent } = yield* makeWorld()
      silent("s")
      let failures = 0
      scripted.aroundMark = (self) => (failures++ === 0 ? Effect.fail(ScriptedStorage.busy) : self)
      yield* TestClock.adjust("1 minutes")
      assert.strictEqual(failures, 1)
      assert.isTrue(isActive("s"))
      yield* TestClock.adjust("1 minutes")
      assert.isFalse(isActive("s"))
      assert.isTrue(new StorageUnreadable({ what: "Session", cause: "gone" }).message.endsWith("gone"))
    })
  )
})

describe("the verdict of memory", () => {
  it.scoped("comes within a second of the end of the grace", () =>
    Effect.gen(function* () {
      const { registry } = yield* makeWorld({ startGrace: 0 })
      registry.connected(key, start)
      registry.disconnected(key, start)
      yield* TestClock.adjust("14 seconds")
      assert.isTrue(registry.find(key)?.isOnline)
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(registry.find(key)?.isOnline)
    })
  )

  it.scoped("comes soon also when the grace is short", () =>
    Effect.gen(function* () {
      const { registry } = yield* makeWorld({ startGrace: 0, disconnectGrace: "300 millis" })
      registry.connected(key, start)
      registry.disconnected(key, start - 15_000)
      yield* TestClock.adjust("100 millis")
      assert.isFalse(registry.find(key)?.isOnline)
    })
  )
})

describe("a grace of zero", () => {
  it.scoped("wakes up as rarely as any other while rows are online, and often only while one has to be judged", () =>
    Effect.gen(function* () {
      let sleeps = 0
      const options = { startGrace: 0, disconnectGrace: 0 }
      const { registry } = yield* makeWorld(options, () => sleeps++)
      for (let index = 0; index < 1_000; index++) registry.connected(session("a", `s${index}`), start)
      yield* TestClock.adjust("1 minute")
      assert.isBelow(sleeps, 20)
      registry.disconnected(session("a", "s0"), start + 60_000)
      yield* TestClock.adjust("1 second")
      assert.isFalse(registry.find(session("a", "s0"))?.isOnline)
      sleeps = 0
      yield* TestClock.adjust("1 minute")
      assert.isBelow(sleeps, 20)
    })
  )
})

describe("the quiet", () => {
  it.scoped("after the start takes no row offline for the whole grace", () =>
    Effect.gen(function* () {
      const { isActive, registry, silent } = yield* makeWorld({ sweepInterval: "10 seconds" })
      silent("s")
      registry.connected(session("a", "dropped"), start)
      registry.disconnected(session("a", "dropped"), start)
      yield* TestClock.adjust("59 seconds")
      assert.isTrue(isActive("s"))
      assert.isTrue(registry.find(session("a", "dropped"))?.isOnline)
      yield* TestClock.adjust("11 seconds")
      assert.isFalse(isActive("s"))
      assert.isFalse(registry.find(session("a", "dropped"))?.isOnline)
    })
  )

  it.scoped("after a pause spares only rows that come back within the grace", () =>
    Effect.gen(function* () {
      const world = yield* makeWorld({ sweepInterval: "10 seconds", startGrace: "20 seconds" })
      const { isActive, jumped, registry, silent } = world
      const dropped = session("a", "dropped")
      const beating = session("a", "beating")
      const gone = session("a", "gone")
      const known = [dropped, beating, gone]
      yield* TestClock.adjust("35 seconds")
      const pausedAt = start + 35_000
      registry.connected(dropped, pausedAt)
      registry.disconnected(dropped, pausedAt)
      registry.beat(beating, pausedAt, pausedAt)
      registry.beat(gone, pausedAt, pausedAt)
      silent("untracked", pausedAt - 300_000)
      jumped.millis = hour
      const resumedAt = pausedAt + hour
      yield* TestClock.adjust("19 seconds")
      assert.isTrue(known.every((each) => registry.find(each)?.isOnline))
      assert.isTrue(isActive("untracked"))
      registry.connected(dropped, resumedAt + 19_000)
      registry.beat(beating, resumedAt + 19_000, resumedAt + 19_000)
      yield* TestClock.adjust("20 seconds")
      assert.isTrue(registry.find(dropped)?.isOnline)
      assert.isTrue(registry.find(beating)?.isOnline)
      assert.isFalse(registry.find(gone)?.isOnline)
      assert.isFalse(isActive("untracked"))
    })
  )

  it.scoped("covers the sweep also when that wakes up first after the pause", () =>
    Effect.gen(function* () {
      const { isActive, jumped, silent } = yield* makeWorld({ sweepInterval: "500 millis", startGrace: 0 })
      yield* TestClock.adjust("10 seconds")
      silent("s", start)
      jumped.millis = hour
      yield* TestClock.adjust("500 millis")
      assert.isFalse(isActive("s"), "no grace was asked for")
      const graced = yield* makeWorld({ sweepInterval: "500 millis", startGrace: "5 seconds" })
      yield* TestClock.adjust("10 seconds")
      graced.silent("s", start)
      graced.jumped.millis = hour
      yield* TestClock.adjust("4900 millis")
      assert.isTrue(graced.isActive("s"))
      yield* TestClock.adjust("2 seconds")
      assert.isFalse(graced.isActive("s"))
    })
  )

  it.scoped("is not stretched by a clock that is set back", () =>
    Effect.gen(function* () {
      const { isActive, jumped, silent } = yield* makeWorld({ sweepInterval: "10 seconds", startGrace: "30 seconds" })
      silent("s", start - 10 * hour)
      yield* TestClock.adjust("15 seconds")
      jumped.millis = -2 * hour
      yield* TestClock.adjust("45 seconds")
      assert.isFalse(isActive("s"))
    })
  )

  it.scoped("ends a silence on time that began before the clock was set back, when that was noticed in the grace", () =>
    Effect.gen(function* () {
      const { jumped, registry } = yield* makeWorld({ startGrace: "1 second" })
      registry.beat(key, start, start)
      yield* TestClock.adjust("595 seconds")
      jumped.millis = -2 * hour
      yield* TestClock.adjust("608 seconds")
      assert.isFalse(registry.find(key)?.isOnline)
    })
  )
})
