/**
 * Goal: whatever order heartbeats, connections, ends, verdicts and failing flushes come in, memory agrees with a
 * naive model, and the database with memory as soon as flushes succeed again.
 *
 * Method: random histories over few rows on a clock that only goes forward. The database is a map with the rules of
 * the storage contract.
 */
import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import type { FlushBatch, FlushEntry } from "../../src/presence/FlushBatch.ts"
import * as PresenceRegistry from "../../src/presence/PresenceRegistry.ts"
import { kinds, session } from "../support/kinds.ts"

const start = 1_800_000_000_000
const options = {
  acceptanceWindow: 600_000,
  persistThreshold: 30_000,
  offlineTimeout: 600_000,
  disconnectGrace: 15_000,
  capacity: 4
}
const keys = ["0", "1", "2", "3", "4"].map((id) => session("a", id))

const row = FastCheck.integer({ min: 0, max: keys.length - 1 })
const age = FastCheck.oneof(
  FastCheck.integer({ min: 0, max: 40_000 }),
  FastCheck.integer({ min: -5_000, max: 700_000 }),
  FastCheck.constant(0)
)
const command = FastCheck.oneof(
  { weight: 6, arbitrary: FastCheck.record({ _tag: FastCheck.constant("beat" as const), row, age }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("connected" as const), row }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("disconnected" as const), row }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("end" as const), row, age }) },
  { weight: 2, arbitrary: FastCheck.record({ _tag: FastCheck.constant("judge" as const) }) },
  { weight: 3, arbitrary: FastCheck.record({ _tag: FastCheck.constant("take" as const) }) },
  { weight: 1, arbitrary: FastCheck.record({ _tag: FastCheck.constant("takeKey" as const), row }) },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("finish" as const),
      outcome: FastCheck.constantFrom("committed" as const, "refused" as const, "unconfirmed" as const, "half" as const)
    })
  },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      _tag: FastCheck.constant("wait" as const),
      millis: FastCheck.constantFrom(1, 1_000, 16_000, 31_000, 300_000, 601_000)
    })
  }
)
type Command = typeof command extends FastCheck.Arbitrary<infer A> ? A : never

interface Stored {
  active: boolean
  last: number
}

class History {
  now = start
  readonly registry = PresenceRegistry.make(kinds, options)
  readonly database = new Map<string, Stored>(keys.map(({ id }) => [id, { active: true, last: start - 3_600_000 }]))
  readonly underWay: Array<FlushBatch> = []
  /** Naive: the newest accepted sign of life and the newest end or verdict, per row. */
  readonly signs = new Map<string, number>()
  readonly ends = new Map<string, number>()
  readonly told: Array<PresenceRegistry.Transition> = []

  run(commands: ReadonlyArray<Command>): void {
    for (const next of commands) {
      this.step(next)
      assert.isAtMost(this.registry.trackedCount(), options.capacity)
      assert.isAtMost(this.registry.pendingCount(), this.registry.trackedCount())
    }
  }

  step(next: Command): void {
    const key = "row" in next ? keys[next.row]! : keys[0]!
    const before = this.registry.find(key)
    switch (next._tag) {
      case "wait":
        this.now += next.millis
        return
      case "beat": {
        const outcome = this.registry.beat(key, this.now - next.age, this.now)
        if (outcome === "online" || outcome === "alive") this.sign(key.id, Math.min(this.now, this.now - next.age))
        break
      }
      case "connected": {
        const outcome = this.registry.connected(key, this.now)
        if (outcome === "online" || outcome === "alive") this.sign(key.id, this.now)
        break
      }
      case "disconnected":
        this.registry.disconnected(key, this.now)
        break
      case "end": {
        if (this.registry.end(key, this.now - next.age, this.now) === "ended") {
          this.ends.set(key.id, Math.max(this.signs.get(key.id) ?? 0, this.registry.find(key)!.lastSeenMillis))
          assert.isFalse(this.registry.find(key)!.isOnline)
        }
        break
      }
      case "judge":
        this.registry.dueOffline(this.now)
        return
      case "take":
        this.underWay.push(this.registry.takeDirty())
        return
      case "takeKey":
        this.underWay.push(this.registry.takeKey(key))
        return
      case "finish":
        this.finish(next.outcome)
        return
    }
    const after = this.registry.find(key)
    if (before !== undefined && after !== undefined) {
      assert.isAtLeast(after.lastSeenMillis, before.lastSeenMillis, "moved backwards")
    }
  }

  sign(id: string, at: number): void {
    this.signs.set(id, Math.max(this.signs.get(id) ?? 0, at))
    const end = this.ends.get(id)
    if (end !== undefined && at <= end && this.registry.find(keys[Number(id)]!)?.isOnline === true) {
      assert.isAbove(this.signs.get(id)!, end, "rose from the dead")
    }
  }

  finish(outcome: "committed" | "refused" | "unconfirmed" | "half"): void {
    const batch = this.underWay.shift()
    if (batch === undefined) return
    const half = outcome === "half" ? Math.floor(batch.entries.length / 2) : batch.entries.length
    const reached = outcome === "refused" ? [] : batch.entries.slice(0, half)
    const written: Array<FlushEntry> = []
    const superseded: Array<FlushEntry> = []
    for (const entry of reached) (this.apply(entry) ? written : superseded).push(entry)
    if (outcome === "committed" || outcome === "half") {
      this.told.push(...this.registry.confirm({ written, superseded, missing: [] }))
      this.registry.giveBack({ entries: batch.entries.slice(half) })
    } else {
      this.registry.giveBack(batch)
    }
  }

  apply(entry: FlushEntry): boolean {
    const stored = this.database.get(entry.id)!
    const isNewer = entry.seenAtMillis > stored.last
    if (entry.state === "alive" && isNewer) stored.active = true
    if (entry.state === "ended") stored.active = false
    if (entry.state === "offline" && stored.last <= entry.seenAtMillis) stored.active = false
    if (isNewer) stored.last = entry.seenAtMillis
    return stored.active === (entry.state === "alive")
  }

  /** Everything under way fails, then two flushes succeed. */
  recover(): void {
    while (this.underWay.length > 0) this.finish("refused")
    for (let round = 0; round < 2; round++) {
      this.underWay.push(this.registry.takeDirty())
      this.finish("committed")
    }
  }
}

describe("PresenceRegistry, any history", () => {
  it("loses nothing, lowers nothing and revives nothing that ended", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(command, { maxLength: 80 }), (commands) => {
        const history = new History()
        history.run(commands)
        const online = new Set(keys.filter((key) => history.registry.find(key)?.isOnline === true))
        history.recover()
        assert.strictEqual(history.registry.pendingCount(), 0)
        for (const key of keys) {
          const stored = history.database.get(key.id)!
          const sign = history.signs.get(key.id) ?? 0
          const isOnline = online.has(key)
          const known = history.registry.find(key)
          if (isOnline) {
            assert.isTrue(stored.active || stored.last >= known!.lastSeenMillis, "online and not written")
            assert.isAtLeast(stored.last, sign - options.persistThreshold, "a sign of life was lost")
          } else if (known !== undefined || history.ends.has(key.id)) {
            assert.isFalse(stored.active && sign <= (history.ends.get(key.id) ?? 0), "an end was lost")
          }
        }
      }),
      { numRuns: 1_500, seed: 20_261_123 }
    )
  })

  it("announces each transition of a row at most once per time it was online", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(command, { maxLength: 80 }), (commands) => {
        const history = new History()
        const onlineCount = new Map<string, number>()
        for (const next of commands) {
          const key = "row" in next ? keys[next.row]! : undefined
          const before = key === undefined ? false : history.registry.find(key)?.isOnline === true
          const wasTracked = key !== undefined && history.registry.find(key) !== undefined
          history.step(next)
          if (key === undefined) continue
          const after = history.registry.find(key)
          const begins = (after?.isOnline === true && !before) || (!wasTracked && after !== undefined)
          if (begins) onlineCount.set(key.id, (onlineCount.get(key.id) ?? 0) + 1)
        }
        history.recover()
        for (const key of keys) {
          const toldCount = history.told.filter((transition) => transition.key.id === key.id).length
          assert.isAtMost(toldCount, onlineCount.get(key.id) ?? 0)
        }
      }),
      { numRuns: 500, seed: 7 }
    )
  })
})
