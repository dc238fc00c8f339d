import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { FlushBatch, FlushResult } from "../../src/presence/FlushBatch.ts"
import * as PresenceRegistry from "../../src/presence/PresenceRegistry.ts"
import { kinds, machine, session } from "../support/kinds.ts"

const start = 1_800_000_000_000
const second = 1_000
const minute = 60_000
const key = session("a", "s")

const defaults: PresenceRegistry.RegistryOptions = {
  acceptanceWindow: "10 minutes",
  persistThreshold: "30 seconds",
  offlineTimeout: "10 minutes",
  disconnectGrace: "15 seconds",
  capacity: 100
}

const make = (options?: Partial<PresenceRegistry.RegistryOptions>) =>
  PresenceRegistry.make(kinds, { ...defaults, ...options })

type Registry = ReturnType<typeof make>

const all = ({ entries }: FlushBatch): FlushResult => ({ written: entries, superseded: [], missing: [] })
const flush = (registry: Registry) => registry.confirm(all(registry.takeDirty()))
const states = ({ entries }: FlushBatch) => entries.map(({ seenAtMillis, state }) => [state, seenAtMillis - start])

describe("beat", () => {
  it("is online first and alive then, and the newest time wins", () => {
    const registry = make()
    assert.strictEqual(registry.beat(key, start - 5, start), "online")
    assert.strictEqual(registry.beat(key, start - 9, start), "alive")
    assert.deepStrictEqual(registry.find(key), { isOnline: true, lastSeenMillis: start - 5 })
    assert.strictEqual(registry.beat(key, start + minute, start), "alive")
    assert.deepStrictEqual(registry.find(key), { isOnline: true, lastSeenMillis: start })
  })

  it("ignores the id when another account tracks it, and shows it to no other account", () => {
    const registry = make()
    const foreign = session("b", "s")
    registry.beat(key, start, start)
    assert.strictEqual(registry.beat(foreign, start, start), "foreign")
    assert.strictEqual(registry.connected(foreign, start), "foreign")
    assert.strictEqual(registry.end(foreign, start, start), "foreign")
    assert.isUndefined(registry.find(foreign))
    registry.forget(foreign)
    assert.strictEqual(registry.trackedCount(), 1)
  })

  it("keeps rows of two accounts with the same id apart where the account is a part of the key", () => {
    const laptops = { laptop: { accountId: "owner", key: ["accountId", "id"] } } as const
    const registry = PresenceRegistry.make(laptops, defaults)
    const [mine, theirs] = ["a", "b"].map((accountId) => ({ kind: "laptop", accountId, id: "laptop" }))
    assert.strictEqual(registry.beat(mine!, start, start), "online")
    assert.strictEqual(registry.beat(theirs!, start + 1, start + 1), "online")
    assert.strictEqual(registry.trackedCount(), 2)
    assert.deepStrictEqual(
      registry.takeDirty().entries.map(({ accountId, seenAtMillis }) => [accountId, seenAtMillis - start]),
      [
        ["a", 0],
        ["b", 1]
      ]
    )
    assert.strictEqual(registry.end(theirs!, start + 2, start + 2), "ended")
    assert.isTrue(registry.find(mine!)?.isOnline)
    registry.forget(mine!)
    assert.isUndefined(registry.find(mine!))
    assert.isFalse(registry.find(theirs!)?.isOnline)
  })

  it("tracks rows of a kind without an account by their id, and says so in entries and transitions", () => {
    const registry = PresenceRegistry.make({ sensor: {} }, defaults)
    const sensor = { kind: "sensor", id: "x" }
    assert.strictEqual(registry.beat(sensor, start, start), "online")
    assert.strictEqual(registry.beat({ ...sensor, accountId: "ignored" }, start, start), "alive")
    const expected = { kind: "sensor", id: "x", seenAtMillis: start, state: "alive" as const }
    assert.deepStrictEqual(registry.takeDirty().entries, [expected])
    registry.confirm({ written: [expected], superseded: [], missing: [] })
    registry.end(sensor, start + 1, start + 1)
    assert.deepStrictEqual(flush(registry), [{ key: sensor, lastSeenMillis: start + 1, reason: "ended" }])
  })

  it("refuses keys that cannot be stored, and tracks none of them", () => {
    const registry = make()
    const broken = [
      session("a", "\ud800"),
      session("\udc00", "s"),
      session("a", "x\ud83d"),
      { kind: "session", id: "s" },
      session(7 as never, "s")
    ]
    for (const wrong of broken) {
      assert.strictEqual(registry.beat(wrong, start, start), "invalid")
      assert.strictEqual(registry.connected(wrong, start), "invalid")
      assert.strictEqual(registry.end(wrong, start, start), "invalid")
    }
    assert.strictEqual(registry.trackedCount(), 0)
    assert.strictEqual(registry.beat(session("a", "\ud83d\ude00"), start, start), "online")
  })

  it("keeps a session and a machine of the same id apart", () => {
    const registry = make()
    registry.beat(key, start, start)
    assert.strictEqual(registry.beat(machine("a", "s"), start, start), "online")
    assert.strictEqual(registry.trackedCount("session"), 1)
    assert.strictEqual(registry.trackedCount("machine"), 1)
  })

  it("waits to be written only when more than the threshold newer than what is stored", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    registry.beat(key, start + 30 * second, start + 30 * second)
    assert.strictEqual(registry.pendingCount(), 0)
    registry.beat(key, start + 30 * second + 1, start + 30 * second + 1)
    assert.strictEqual(registry.pendingCount(), 1)
  })

  it("counts what it coalesces and what it rejects, once", () => {
    const registry = make({ capacity: 1 })
    registry.beat(key, start, start)
    registry.beat(key, start + 1, start + 1)
    registry.beat(key, Number.NaN, start)
    registry.beat(key, 0, start)
    registry.beat(session("a", "other"), start, start)
    assert.deepStrictEqual(registry.takeCounts(), {
      coalesced: 1,
      rejected: { invalid: 1, ancient: 1, ended: 0, foreign: 0, full: 1 }
    })
    assert.strictEqual(registry.takeCounts().coalesced, 0)
  })

  it("does not hold a row in the future after the clock was set back", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    const back = start - 120 * minute
    registry.beat(key, back, back)
    registry.beat(key, back + second, back + second)
    assert.deepStrictEqual(registry.find(key), { isOnline: true, lastSeenMillis: back + second })
    assert.strictEqual(registry.dueOffline(back + second + 10 * minute + 1), 1)
  })

  it("counts the silence of a row from when the clock was set back, whichever row is reported first after that", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    const back = start - 120 * minute
    registry.beat(session("a", "other"), back, back)
    assert.strictEqual(registry.dueOffline(back + second), 0)
    assert.isAtMost(registry.nextDueMillis(), back + second + 10 * minute + 1)
    assert.strictEqual(registry.dueOffline(back + second + 10 * minute + 1), 2)
    assert.isFalse(registry.find(key)?.isOnline)
  })

  it("does not hold a row offline after the clock was set back, while the verdict waits to be written", () => {
    const registry = make()
    registry.connected(key, start)
    registry.disconnected(key, start + 5 * minute)
    registry.dueOffline(start + 6 * minute)
    const back = start + 2 * minute
    registry.beat(key, back, back)
    registry.beat(key, back + 1, back + 1)
    assert.isTrue(registry.find(key)?.isOnline)
  })
})

describe("end", () => {
  it("ignores what is not newer than the end, and revives with what is", () => {
    const registry = make()
    registry.beat(key, start, start)
    registry.end(key, start + second, start + 2 * second)
    assert.deepStrictEqual(registry.find(key), { isOnline: false, lastSeenMillis: start + second })
    assert.strictEqual(registry.beat(key, start + second, start + 2 * second), "ended")
    assert.strictEqual(registry.beat(key, start + second + 1, start + 2 * second), "online")
    assert.isTrue(registry.find(key)?.isOnline)
  })

  it("sets its mark at the newest sign of life when it claims to be older", () => {
    const registry = make()
    registry.beat(key, start, start)
    for (const claimed of [start - minute, Number.NaN, 0]) registry.end(key, claimed, start)
    assert.deepStrictEqual(registry.find(key), { isOnline: false, lastSeenMillis: start })
    assert.strictEqual(registry.beat(key, start, start), "ended")
  })

  it("is remembered for a row that was not tracked, and written", () => {
    const registry = make()
    registry.end(key, start - second, start)
    assert.strictEqual(registry.beat(key, start - 2 * second, start), "ended")
    assert.deepStrictEqual(states(registry.takeDirty()), [["ended", -second]])
  })

  it("is announced once, after it was written", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    registry.end(key, start, start)
    assert.deepStrictEqual(flush(registry), [{ key, lastSeenMillis: start, reason: "ended" }])
    registry.end(key, start + second, start + second)
    assert.deepStrictEqual(flush(registry), [])
  })

  it("is announced once also for a row whose end was stored before", () => {
    const registry = make()
    registry.beat(key, start, start)
    const known = { written: [], superseded: registry.takeDirty().entries, missing: [] }
    assert.deepStrictEqual(registry.confirm(known), [{ key, lastSeenMillis: start, reason: "outdated" }])
    registry.end(key, start + 1, start + 1)
    assert.deepStrictEqual(flush(registry), [])
  })

  it("is an end marker also when it finds no room", () => {
    const registry = make({ capacity: 1 })
    registry.beat(session("a", "other"), start, start)
    assert.strictEqual(registry.end(key, start, start), "ended")
    registry.forget(session("a", "other"))
    assert.strictEqual(registry.beat(key, start - 1, start + second), "ended")
    for (let index = 0; index < 8; index++) registry.end(session("a", `e${index}`), start, start)
    assert.strictEqual(registry.end(session("a", "last"), start, start), "full")
  })

  it("of a row that was forgotten lies at what the database knows, and until that is known at its arrival", () => {
    const registry = make()
    registry.end(key, start - 5 * second, start)
    const batch = registry.takeDirty()
    assert.deepStrictEqual(states(batch), [["ended", -5 * second]])
    assert.strictEqual(registry.beat(key, start - 4 * second, start), "ended")
    const [entry] = batch.entries
    assert.isDefined(entry)
    registry.confirm({ written: [{ ...entry!, storedMillis: start - 3 * second }], superseded: [], missing: [] })
    assert.strictEqual(registry.beat(key, start - 3 * second, start), "ended")
    assert.strictEqual(registry.beat(key, start - 2 * second, start), "online")
  })

  it("is written in whole milliseconds, however old it is", () => {
    const registry = make()
    registry.end(key, start - 60 * minute - 0.5, start)
    assert.deepStrictEqual(states(registry.takeDirty()), [["ended", -60 * minute - 1]])
  })

  it("is not undone by a connection, nor by anything but a newer beat", () => {
    const registry = make()
    registry.connected(key, start)
    registry.end(key, start, start)
    assert.strictEqual(registry.connected(key, start + second), "ended")
    assert.strictEqual(registry.seen(key, start + 2 * second), "ended")
    assert.strictEqual(registry.beat(key, start, start + 3 * second), "ended")
    assert.isFalse(registry.find(key)?.isOnline)
    assert.strictEqual(registry.beat(key, start + 1, start + 3 * second), "online")
  })

  for (const [name, skew] of [
    ["11 minutes slow", -11 * minute],
    ["3 hours slow", -180 * minute],
    ["3 hours fast", 180 * minute]
  ] as const) {
    it(`is compared by the clock of the client, ${name}`, () => {
      const registry = make()
      registry.connected(key, start)
      registry.beat(key, start + skew, start)
      registry.end(key, start + second + skew, start + second)
      assert.strictEqual(registry.beat(key, start + second - 1 + skew, start + 2 * second), "ended")
      assert.strictEqual(registry.beat(key, start + 3 * second + skew, start + 3 * second), "online")
      assert.deepStrictEqual(registry.find(key), { isOnline: true, lastSeenMillis: start + 3 * second })
    })
  }

  it("by a clock that is ahead keeps a connected row offline for the acceptance window at most", () => {
    const registry = make()
    registry.connected(key, start)
    registry.end(key, start + 180 * minute, start)
    assert.strictEqual(registry.beat(key, start + 10 * minute, start + 10 * minute), "ended")
    assert.strictEqual(registry.beat(key, start + 10 * minute + 1, start + 10 * minute + 1), "online")
  })

  it("stays as an end marker until no heartbeat can be refused by it, then it is dropped", () => {
    const registry = make()
    registry.end(key, start, start)
    registry.dueOffline(start + 20 * minute)
    assert.strictEqual(registry.trackedCount(), 1, "unwritten ends are kept")
    flush(registry)
    registry.dueOffline(start + 10 * minute)
    assert.strictEqual(registry.trackedCount(), 1)
    assert.strictEqual(registry.beat(key, start, start + 10 * minute), "ended")
    registry.dueOffline(start + 10 * minute + 1)
    assert.strictEqual(registry.trackedCount(), 0)
    assert.strictEqual(registry.beat(key, start, start + 10 * minute + 1), "ancient")
  })

  it("gives way to a new row once it is old, and not before", () => {
    const registry = make({ capacity: 1 })
    const other = session("a", "other")
    registry.end(key, start, start)
    flush(registry)
    assert.strictEqual(registry.beat(other, start + minute, start + minute), "full")
    assert.strictEqual(registry.beat(other, start + 11 * minute, start + 11 * minute), "online")
    assert.strictEqual(registry.trackedCount(), 1)
  })
})

describe("connections", () => {
  it("go offline after the grace of the last one, and are announced after the write", () => {
    const registry = make()
    registry.connected(key, start)
    registry.connected(key, start)
    registry.disconnected(key, start + second)
    assert.strictEqual(registry.dueOffline(start + minute), 0)
    registry.disconnected(key, start + minute)
    assert.strictEqual(registry.dueOffline(start + minute + 15 * second - 1), 0)
    assert.strictEqual(registry.dueOffline(start + minute + 15 * second), 1)
    assert.isFalse(registry.find(key)?.isOnline)
    assert.deepStrictEqual(flush(registry), [{ key, lastSeenMillis: start + minute, reason: "disconnected" }])
    assert.strictEqual(registry.trackedCount(), 0)
  })

  it("stay online when one comes back, or a newer heartbeat arrives, within the grace", () => {
    for (const back of [
      (registry: Registry) => registry.connected(key, start + 14 * second),
      (registry: Registry) => registry.beat(key, start + 14 * second, start + 14 * second)
    ]) {
      const registry = make()
      registry.connected(key, start)
      registry.disconnected(key, start)
      assert.strictEqual(back(registry), "alive")
      assert.strictEqual(registry.dueOffline(start + minute), 0)
    }
  })

  it("stay online when a heartbeat arrives within the grace, by whatever clock: its arrival decides", () => {
    const registry = make()
    registry.connected(key, start)
    registry.disconnected(key, start + 10 * second)
    assert.strictEqual(registry.beat(key, start - 5 * minute, start + 12 * second), "alive")
    assert.strictEqual(registry.dueOffline(start + 10 * minute), 0)
    assert.strictEqual(registry.dueOffline(start + 10 * minute + 12 * second + 1), 1)
  })

  it("keep a silent row online: the transport checks whether they answer", () => {
    const registry = make()
    registry.connected(key, start)
    assert.strictEqual(registry.dueOffline(start + 24 * 60 * minute), 0)
    assert.isTrue(registry.find(key)?.isOnline)
    registry.disconnected(key, start + 24 * 60 * minute)
    assert.strictEqual(registry.dueOffline(start + 24 * 60 * minute + 15 * second), 1)
    const lastSeenMillis = start + 24 * 60 * minute
    assert.deepStrictEqual(flush(registry), [{ key, lastSeenMillis, reason: "disconnected" }])
    registry.disconnected(key, start + 25 * 60 * minute)
    assert.strictEqual(registry.trackedCount(), 0)
  })

  for (const [name, skew] of [
    ["3 hours slow", -180 * minute],
    ["11 minutes slow", -11 * minute],
    ["5 minutes slow", -5 * minute],
    ["3 hours fast", 180 * minute]
  ] as const) {
    it(`of a row whose clock is ${name} date its beats by their arrival, and refuse none`, () => {
      const registry = make()
      registry.connected(key, start)
      for (let at = start; at < start + 30 * minute; at += 20 * second) {
        assert.strictEqual(registry.beat(key, at + skew, at), "alive")
        assert.deepStrictEqual(registry.find(key), { isOnline: true, lastSeenMillis: at })
        assert.strictEqual(registry.dueOffline(at), 0)
      }
    })
  }

  it("do not make the row flap when one of several closes", () => {
    const registry = make()
    registry.connected(key, start)
    registry.beat(key, start - 5 * minute, start)
    registry.disconnected(key, start + second)
    for (let at = start + 2 * second; at < start + 30 * minute; at += 10 * second) {
      assert.strictEqual(registry.beat(key, at - 5 * minute, at), "alive")
      assert.strictEqual(registry.dueOffline(at), 0)
    }
  })

  it("survive a sign of life between the verdict and its write, in silence", () => {
    const registry = make()
    registry.connected(key, start)
    flush(registry)
    registry.disconnected(key, start)
    registry.dueOffline(start + 20 * second)
    const taken = registry.takeDirty()
    assert.deepStrictEqual(states(taken), [["offline", 0]])
    assert.strictEqual(registry.connected(key, start + 21 * second), "online")
    assert.deepStrictEqual(registry.confirm(all(taken)), [])
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 21 * second]])
  })
})

describe("a batch", () => {
  it("takes each row once and leaves nothing", () => {
    const registry = make()
    registry.beat(key, start, start)
    registry.beat(machine("a", "m"), start, start)
    assert.strictEqual(registry.takeDirty().entries.length, 2)
    assert.strictEqual(registry.takeDirty().entries.length, 0)
    assert.strictEqual(registry.pendingCount(), 2, "what is under way is not in the database yet")
  })

  it("that is requeued waits again with the newest value, and with its age", () => {
    const registry = make()
    registry.beat(key, start, start)
    const batch = registry.takeDirty()
    registry.beat(key, start + second, start + second)
    registry.giveBack(batch)
    assert.strictEqual(registry.oldestPendingMillis(), start)
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", second]])
  })

  it("that is unconfirmed may have been written: a row that came back meanwhile is written again", () => {
    const registry = make()
    registry.connected(key, start)
    flush(registry)
    registry.disconnected(key, start)
    registry.dueOffline(start + 15 * second)
    const batch = registry.takeDirty()
    registry.connected(key, start + 16 * second)
    registry.giveBack(batch)
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 16 * second]])
  })

  it("confirms the written value, not a newer one", () => {
    const registry = make()
    registry.beat(key, start, start)
    const batch = registry.takeDirty()
    registry.beat(key, start + minute, start + minute)
    registry.confirm(all(batch))
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", minute]])
  })

  it("drops rows that are missing", () => {
    const registry = make()
    registry.beat(key, start, start)
    registry.confirm({ written: [], superseded: [], missing: registry.takeDirty().entries })
    assert.strictEqual(registry.trackedCount(), 0)
    assert.strictEqual(registry.pendingCount(), 0)
  })

  it("with a sign of life that the database supersedes is not written repeatedly", () => {
    const registry = make()
    registry.beat(key, start, start)
    registry.confirm({ written: [], superseded: registry.takeDirty().entries, missing: [] })
    assert.strictEqual(registry.pendingCount(), 0)
    assert.isFalse(registry.find(key)?.isOnline, "it was no sign of life")
    assert.strictEqual(registry.beat(key, start + 1, start + 1), "online")
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 1]])
  })

  it("whose sign of life is older than the end in the database is shown offline, at the time of that end", () => {
    const registry = make()
    registry.beat(key, start - 5 * second, start)
    const [entry] = registry.takeDirty().entries
    const transitions = registry.confirm({
      written: [],
      superseded: [{ ...entry!, storedMillis: start - 2 * second }],
      missing: []
    })
    assert.deepStrictEqual(transitions, [{ key, lastSeenMillis: start - 2 * second, reason: "outdated" }])
    assert.deepStrictEqual(registry.find(key), { isOnline: false, lastSeenMillis: start - 2 * second })
    assert.strictEqual(registry.beat(key, start - 3 * second, start), "ended")
    assert.strictEqual(registry.connected(key, start + second), "online", "nobody reported an end")
  })

  it("whose claim is older than what the database knows is dated by its arrival over an open connection", () => {
    const registry = make()
    registry.beat(key, start - 5 * second, start)
    registry.end(key, start - 6 * second, start)
    flush(registry)
    assert.strictEqual(registry.connected(key, start + second), "ended")
    assert.strictEqual(registry.beat(key, start - 3 * second, start + 2 * second), "online")
    const [entry] = registry.takeDirty().entries
    const superseded = [{ ...entry!, storedMillis: start }]
    assert.deepStrictEqual(registry.confirm({ written: [], superseded, missing: [] }, start + 5 * second), [])
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 2 * second]])
  })

  it("that is older than the database because the clock was set back is written again over an open connection", () => {
    const registry = make()
    registry.connected(key, start)
    const [entry] = registry.takeDirty().entries
    const superseded = [{ ...entry!, storedMillis: start + minute }]
    assert.deepStrictEqual(registry.confirm({ written: [], superseded, missing: [] }, start + 2 * minute), [])
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 2 * minute]])
  })

  it("that the database refuses waits for a minute, then for longer, and other rows are not held up", () => {
    const registry = make()
    registry.beat(key, start, start)
    registry.park(registry.takeDirty(), start)
    assert.strictEqual(registry.pendingCount(), 0)
    assert.strictEqual(registry.parkedCount(), 1)
    registry.beat(key, start + 40 * second, start + 40 * second)
    assert.strictEqual(registry.pendingCount(), 0, "a beat does not bring it forward")
    registry.unpark(start + minute - 1)
    assert.strictEqual(registry.takeDirty().entries.length, 0)
    registry.unpark(start + minute)
    registry.park(registry.takeDirty(), start + minute)
    registry.unpark(start + 3 * minute - 1)
    assert.strictEqual(registry.takeDirty().entries.length, 0)
    registry.unpark(start + 3 * minute)
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 40 * second]])
  })

  it("that the database goes on refusing is forgotten once its row is not online", () => {
    const registry = make()
    registry.end(key, start, start)
    for (let round = 0; round < 5; round++) {
      const at = start + round * 20 * minute
      registry.unpark(at)
      registry.park(registry.takeDirty(), at)
    }
    assert.strictEqual(registry.trackedCount(), 0)
    assert.strictEqual(registry.parkedCount(), 0)
  })

  it("with an outcome that the database supersedes drops the row and announces nothing", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    registry.dueOffline(start + 11 * minute)
    const transitions = registry.confirm({ written: [], superseded: registry.takeDirty().entries, missing: [] })
    assert.deepStrictEqual(transitions, [])
    assert.strictEqual(registry.trackedCount(), 0)
  })

  it("that turns out to be superseded does not swallow the verdict that came meanwhile", () => {
    const registry = make()
    registry.connected(key, start)
    const batch = registry.takeDirty()
    registry.disconnected(key, start)
    registry.dueOffline(start + 15 * second)
    registry.confirm({ written: [], superseded: batch.entries, missing: [] })
    assert.deepStrictEqual(flush(registry), [{ key, lastSeenMillis: start, reason: "disconnected" }])
    assert.strictEqual(registry.trackedCount(), 0)
  })

  it("with a verdict keeps what a row showed that came and went again meanwhile", () => {
    const registry = make()
    registry.connected(key, start)
    flush(registry)
    registry.disconnected(key, start)
    registry.dueOffline(start + 15 * second)
    const batch = registry.takeDirty()
    registry.connected(key, start + 16 * second)
    registry.disconnected(key, start + 16 * second)
    registry.dueOffline(start + 31 * second)
    registry.confirm(all(batch))
    assert.deepStrictEqual(states(registry.takeDirty()), [["offline", 16 * second]])
  })

  it("may hold an old state of a row that ends meanwhile: the end is written last", () => {
    const registry = make()
    registry.beat(key, start, start)
    const tick = registry.takeDirty()
    registry.end(key, start, start)
    const control = registry.takeKey(key)
    assert.deepStrictEqual(states(control), [["ended", 0]])
    registry.confirm(all(control))
    registry.confirm(all(tick))
    assert.deepStrictEqual(states(registry.takeDirty()), [["ended", 0]])
  })

  describe("with an end keeps what came after it back, so that the end is committed first,", () => {
    const answers: Record<string, (registry: Registry, batch: FlushBatch) => void> = {
      "until it is confirmed": (registry, batch) => void registry.confirm(all(batch)),
      "until it is given back": (registry, batch) => registry.giveBack(batch),
      "until it is refused": (registry, batch) => {
        registry.park(batch, start)
        registry.unpark(start + minute)
      },
      "until the database knows better": (registry, { entries }) =>
        void registry.confirm({
          written: [],
          superseded: entries.map((entry) => ({ ...entry, storedMillis: start })),
          missing: []
        })
    }
    it.each(Object.entries(answers))("%s", (_, answer) => {
      const registry = make()
      registry.beat(key, start, start)
      flush(registry)
      registry.end(key, start, start)
      const control = registry.takeKey(key)
      const again = registry.takeKey(key)
      registry.beat(key, start + minute, start + minute)
      assert.deepStrictEqual(states(registry.takeDirty()), [])
      assert.strictEqual(registry.pendingCount(), 1)
      answer(registry, control)
      assert.deepStrictEqual(states(again), [])
      assert.deepStrictEqual(states(registry.takeDirty()), [["alive", minute]])
    })

    it("and waits for each of two ends", () => {
      const registry = make()
      registry.beat(key, start, start)
      registry.end(key, start, start)
      const first = registry.takeKey(key)
      registry.beat(key, start + second, start + second)
      registry.end(key, start + second, start + second)
      const next = registry.takeKey(key)
      assert.deepStrictEqual(states(next), [["ended", second]])
      registry.beat(key, start + minute, start + minute)
      registry.confirm(all(next))
      assert.deepStrictEqual(states(registry.takeDirty()), [])
      registry.confirm(all(first))
      assert.deepStrictEqual(states(registry.takeDirty()), [["alive", minute]])
    })
  })

  it("is written again at once when a row was swept that is online", () => {
    const registry = make()
    registry.beat(key, start, start)
    flush(registry)
    assert.isTrue(registry.reactivate(key))
    assert.strictEqual(registry.pendingCount(), 1)
    assert.isFalse(registry.reactivate(session("a", "other")))
  })
})

describe("dueOffline", () => {
  it("walks on where it stopped, so that one call is bounded", () => {
    const registry = make()
    for (let index = 0; index < 10; index++) registry.beat(session("a", `s${index}`), start, start)
    const due = start + 11 * minute
    assert.strictEqual(registry.dueOffline(due, 4), 4)
    assert.strictEqual(registry.dueOffline(due, 4), 4)
    assert.strictEqual(registry.dueOffline(due, 4), 2)
    assert.strictEqual(registry.dueOffline(due, 4), 0)
  })
})

describe("a kind that several replicas serve", () => {
  it("opens the latch of the flusher when it comes online or connects, and not for a heartbeat", () => {
    const registry = PresenceRegistry.make({ session: { accountId: "accountId", servedBy: "servedBy" } }, defaults)
    const isClaimed = () => {
      const isOpen = Effect.runSyncExit(registry.claimed.await)._tag === "Success"
      registry.claimed.unsafeClose()
      return isOpen
    }
    registry.beat(key, start, start)
    assert.isTrue(isClaimed())
    registry.beat(key, start + minute, start + minute)
    registry.seen(key, start + minute)
    assert.isFalse(isClaimed())
    registry.connected(key, start + minute)
    assert.isTrue(isClaimed())
    registry.restamp()
    assert.isTrue(isClaimed())
  })

  it("is not online where only a grace of it runs, once another replica has taken it over", () => {
    const registry = PresenceRegistry.make({ session: { accountId: "accountId", servedBy: "servedBy" } }, defaults)
    registry.connected(key, start)
    flush(registry)
    assert.isTrue(registry.reactivate(key))
    flush(registry)
    registry.disconnected(key, start + second)
    assert.isFalse(registry.reactivate(key))
    assert.isUndefined(registry.find(key))
    assert.strictEqual(registry.pendingCount(), 0)
  })

  const shared = { session: { accountId: "accountId", servedBy: "servedBy" } } as const
  const makeShared = () => PresenceRegistry.make(shared, defaults)
  const online = () => {
    const registry = makeShared()
    registry.connected(key, start)
    flush(registry)
    assert.strictEqual(registry.pendingCount(), 0)
    return registry
  }

  it("does not outrank, over a connection that may be half open, what a client did elsewhere meanwhile", () => {
    const registry = online()
    // This replica stood still, another one took the row over, and now it claims what it still has.
    registry.restamp()
    const [entry] = registry.takeDirty().entries
    registry.confirm({ written: [], superseded: [{ ...entry!, storedMillis: start }], missing: [] }, start + minute)
    const [again] = registry.takeDirty().entries
    // It is shown online again, unless anything happened since that another replica saw.
    assert.strictEqual(again?.state, "alive")
    assert.strictEqual(again?.seenAtMillis, start + 1)
  })

  it("gives a row up that had a newer sign of life elsewhere, over a connection that may be half open", () => {
    const registry = online()
    registry.restamp()
    const [entry] = registry.takeDirty().entries
    const superseded = [{ ...entry!, storedMillis: start + second }]
    const told = registry.confirm({ written: [], superseded, missing: [] }, start + minute)
    assert.deepStrictEqual(
      told.map(({ reason }) => reason),
      ["outdated"]
    )
    assert.isFalse(registry.find(key)?.isOnline)
    assert.strictEqual(registry.beat(key, start + minute, start + minute), "online")
  })

  it("writes a row again when a connection opens that may have been elsewhere, and not for each beat", () => {
    const registry = online()
    registry.beat(key, start + second, start + second)
    assert.strictEqual(registry.pendingCount(), 0)
    registry.connected(key, start + 2 * second)
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 2 * second]])
  })

  it("writes what is online again after a lost lease, also when a batch holds it, and nothing whose grace runs", () => {
    const registry = online()
    registry.connected(session("a", "dropped"), start)
    flush(registry)
    registry.disconnected(session("a", "dropped"), start + second)
    registry.restamp()
    const batch = registry.takeDirty()
    assert.deepStrictEqual(
      batch.entries.map(({ id }) => id),
      ["s"]
    )
    registry.restamp()
    registry.confirm(all(batch))
    assert.deepStrictEqual(states(registry.takeDirty()), [["alive", 0]])
    const alone = make()
    alone.connected(key, start)
    flush(alone)
    alone.restamp()
    assert.strictEqual(alone.pendingCount(), 0)
  })

  it("drops a row quietly that another replica serves, unless it is back here", () => {
    const registry = online()
    registry.disconnected(key, start + second)
    registry.dueOffline(start + 20 * second)
    const leaving = registry.takeDirty()
    assert.deepStrictEqual(states(leaving), [["offline", second]])
    const elsewhere = { written: [], superseded: [], missing: [], elsewhere: leaving.entries }
    assert.deepStrictEqual(registry.confirm(elsewhere), [])
    assert.strictEqual(registry.trackedCount(), 0)

    const back = online()
    back.disconnected(key, start + second)
    back.dueOffline(start + 20 * second)
    const batch = back.takeDirty()
    back.connected(key, start + 21 * second)
    assert.deepStrictEqual(back.confirm({ ...elsewhere, elsewhere: batch.entries }), [])
    assert.deepStrictEqual(states(back.takeDirty()), [["alive", 21 * second]])
  })

  it("takes no drop for a sign of life, and dates the end of the grace by it", () => {
    const registry = online()
    registry.disconnected(key, start + 40 * second)
    assert.strictEqual(registry.find(key)?.lastSeenMillis, start)
    registry.dueOffline(start + 60 * second)
    assert.deepStrictEqual(states(registry.takeDirty()), [["offline", 40 * second]])
  })

  it("tells an end of a row that ended here before and was online elsewhere since", () => {
    const registry = online()
    registry.end(key, start + second, start + second)
    assert.lengthOf(flush(registry), 1)
    registry.end(key, start + minute, start + minute)
    const { entries } = registry.takeDirty()
    const written = entries.map((entry) => ({ ...entry, wasActive: true as const }))
    assert.deepStrictEqual(
      registry.confirm({ written, superseded: [], missing: [] }).map(({ reason }) => reason),
      ["ended"]
    )
  })
})
