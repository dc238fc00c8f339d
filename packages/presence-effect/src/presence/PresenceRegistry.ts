/**
 * Which rows are online, how many connections each has, and what the next tick must write.
 *
 * Memory decides what is "online now". The registry is mutable, owned by one
 * process and synchronous: a heartbeat costs one map lookup and no effect. Every
 * tracked row is held once, whatever the traffic.
 *
 * @example
 * import { deepStrictEqual, strictEqual } from "node:assert/strict"
 * import * as PresenceConfig from "presence-effect/presence/PresenceConfig"
 * import * as PresenceRegistry from "presence-effect/presence/PresenceRegistry"
 *
 * const registry = PresenceRegistry.make({ device: {} }, PresenceConfig.defaults)
 * const phone = { kind: "device", id: "phone" }
 *
 * strictEqual(registry.beat(phone, 900, 1_000), "online")
 * strictEqual(registry.beat(phone, 950, 1_010), "alive")
 * // What the next tick writes: one entry, however many heartbeats came.
 * const batch = registry.takeDirty()
 * deepStrictEqual(batch.entries, [{ ...phone, seenAtMillis: 950, state: "alive" }])
 * registry.confirm({ written: batch.entries, superseded: [], missing: [] })
 * strictEqual(registry.pendingCount(), 0)
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { FlushBatch, FlushResult } from "./FlushBatch.ts"
import * as Heartbeat from "./Heartbeat.ts"
import * as Batches from "./internal/batches.ts"
import type { RowTable } from "./internal/rowTable.ts"
import * as RowTables from "./internal/rowTables.ts"
import type { PresenceKey } from "./PresenceKey.ts"
import type { PresenceKinds, TermsByKind } from "./PresenceKind.ts"

/**
 * A row is offline in the database.
 *
 * - `silent`: without an open connection and without a sign of life for too long.
 * - `disconnected`: its last connection closed longer ago than the grace.
 * - `ended`: its end was reported.
 * - `outdated`: what was taken for a sign of life was older than what the database knew: an end, or a sign of life at
 *   another replica whose row was taken over. So the row is not online here after all.
 * - `abandoned`: the replica that served the row is gone, and the row did not come back to another one in time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition<Key extends PresenceKey = PresenceKey> {
  readonly key: Key
  readonly lastSeenMillis: number
  readonly reason: "silent" | "disconnected" | "ended" | "outdated" | "abandoned"
}

/**
 * @category models
 * @since 0.1.0
 */
export interface RegistryOptions extends TermsByKind {
  /**
   * Rows tracked at once, over all kinds, end markers included. An end that finds no room may exceed it, by an eighth
   * and at least 8 rows: an end that is forgotten could be undone by a heartbeat that comes late.
   */
  readonly capacity: number
}

/**
 * Counts since they were last taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface BeatCounts {
  readonly coalesced: number
  readonly rejected: { readonly [K in Rejection]: number }
}

/**
 * @category models
 * @since 0.1.0
 */
export type Rejection = Exclude<Heartbeat.BeatOutcome, "online" | "alive">

/**
 * What became of a reported end. Only `ended` marks the row; `full` could not be noted, so its caller must write it.
 *
 * @category models
 * @since 0.3.0
 */
export type EndOutcome = "ended" | "foreign" | "full" | "invalid"

/**
 * All times are epoch milliseconds of the server's clock. `now` is a parameter,
 * so that one reading of the clock serves a whole batch.
 *
 * @category services
 * @since 0.1.0
 */
export class PresenceRegistry extends Context.Tag("presence-effect/presence/PresenceRegistry")<
  PresenceRegistry,
  {
    readonly capacity: number
    /** The names of the declared kinds, in the order in which they were declared. */
    readonly kinds: ReadonlyArray<string>
    /**
     * A sign of life that the client stamped with its own clock. Silence is counted from its arrival. The claim dates
     * it; over an open connection of the row a claim that is older than what is known is dated by its arrival. Never
     * moves a row backwards.
     */
    readonly beat: (key: PresenceKey, claimedMillis: number, nowMillis: number) => Heartbeat.BeatOutcome
    /** The row did something now. Does not make an ended row active again. */
    readonly seen: (key: PresenceKey, nowMillis: number) => Heartbeat.BeatOutcome
    /** A connection opened: the row did something now. While one is open the row is never considered silent. */
    readonly connected: (key: PresenceKey, nowMillis: number) => Heartbeat.BeatOutcome
    /** A connection closed. The last one starts the grace. */
    readonly disconnected: (key: PresenceKey, nowMillis: number) => void
    /** Sets an end marker: only a newer beat makes the row active again, for as long as the marker is kept. */
    readonly end: (key: PresenceKey, claimedMillis: number, nowMillis: number) => EndOutcome
    /** Drops a row that was deleted. */
    readonly forget: (key: PresenceKey) => void
    readonly find: (key: PresenceKey) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
    /** The row is online, or a change of it waits to be written: the sweep must not change it. */
    readonly isHeld: (key: PresenceKey) => boolean
    /**
     * `active` of the row was cleared in the database. When the row is online, it is written with the next tick. One
     * with a mark whose grace runs is dropped, and is not online: it has been at another replica since.
     */
    readonly reactivate: (key: PresenceKey) => boolean
    /**
     * Every row that is online, and whose grace does not run, is written with the next tick, with the mark of this
     * replica.
     *
     * @since 0.4.0
     */
    readonly restamp: () => void
    /**
     * Takes rows offline whose grace is over or which have been silent for too long, and drops end markers that no
     * heartbeat can meet any more. Handles at most `scanLimit` rows of each sort and goes on there the next time.
     */
    readonly dueOffline: (nowMillis: number, scanLimit?: number) => number
    /** When `dueOffline` may find something, if nothing is reported until then. Infinity: not before that. */
    readonly nextDueMillis: () => number
    /** A grace runs. */
    readonly hasGrace: () => boolean
    /** Opened by every report. The flusher closes it when it begins a tick. */
    readonly reported: Effect.Latch
    /**
     * Opened when a row with a mark comes online or opens a connection: until the mark is written, another replica may
     * show the row offline. The flusher closes it when it begins a tick.
     *
     * @since 0.4.0
     */
    readonly claimed: Effect.Latch
    /** Opened when the sweeper may have to wake up earlier than it planned: a row is tracked, or a grace begins. */
    readonly judgeable: Effect.Latch
    /** The rows that wait, in the order in which they are written best. Yields while it sorts. */
    readonly order: Effect.Effect<Iterator<FlushCandidate>>
    /** Takes at most `limit` rows in this order. The caller must end with `confirm`, `giveBack` or `park` for each. */
    readonly takeNext: (order: Iterator<FlushCandidate>, limit: number) => FlushBatch
    /** Takes everything that waits, at once. */
    readonly takeDirty: () => FlushBatch
    /** Takes one row, if it waits. */
    readonly takeKey: (key: PresenceKey) => FlushBatch
    /** The database has these. Answers the transitions that happened with them. */
    readonly confirm: (result: FlushResult, nowMillis?: number) => ReadonlyArray<Transition>
    /** The database may not have these: they wait again, with the newest state of their rows. */
    readonly giveBack: (batch: FlushBatch) => void
    /** The database refuses these rows: they are retried after a minute, then less and less often. */
    readonly park: (batch: FlushBatch, nowMillis: number) => void
    /** Parked rows whose time has come wait again. */
    readonly unpark: (nowMillis: number) => void
    readonly parkedCount: () => number
    readonly trackedCount: (kind?: string) => number
    readonly pendingCount: (kind?: string) => number
    /** When the oldest change began to wait. */
    readonly oldestPendingMillis: () => number | undefined
    readonly takeCounts: () => BeatCounts
  }
>() {}

/**
 * A row that waits to be written. Opaque.
 *
 * @category models
 * @since 0.2.0
 */
export type FlushCandidate = Batches.Candidate

const noCounts = (): { -readonly [K in Rejection]: number } => ({
  invalid: 0,
  ancient: 0,
  ended: 0,
  foreign: 0,
  full: 0
})

/** One step of a walk: about a millisecond. */
const scanLimitDefault = 20_000

/** What is reported of rows. */
const makeReports = (
  { tableOf, rowOf, hasRoom, hasRoomForEnd }: RowTables.RowTables,
  { claim, touch, wake }: { readonly claim: () => void; readonly touch: () => void; readonly wake: () => void }
) => {
  let coalesced = 0
  let rejected = noCounts()
  const reject = (reason: Rejection): Rejection => {
    rejected[reason]++
    return reason
  }
  /** A row that is not tracked yet. */
  const first = (table: RowTable, key: PresenceKey, nowMillis: number, dated: number, claimed: number) => {
    if (!table.identity.accepts(key)) return reject("invalid")
    if (!hasRoom(nowMillis)) return reject("full")
    table.track(key, dated, claimed, nowMillis)
    wake()
    if (table.isShared) claim()
    return "online"
  }
  const told = (table: RowTable, outcome: ReturnType<RowTable["beat"]>): Heartbeat.BeatOutcome => {
    if (outcome === "online" && table.isShared) claim()
    if (outcome === "clean") {
      coalesced++
      return "alive"
    }
    if (outcome === "dirty") return "alive"
    return outcome === "ended" ? reject(outcome) : outcome
  }
  const seen = (key: PresenceKey, nowMillis: number): Heartbeat.BeatOutcome => {
    touch()
    const table = tableOf(key.kind)
    const row = table.find(key)
    if (row === undefined) return first(table, key, nowMillis, nowMillis, Number.NEGATIVE_INFINITY)
    return table.identity.owns(row, key) ? told(table, table.show(row, nowMillis)) : reject("foreign")
  }
  return {
    beat: (key: PresenceKey, claimedMillis: number, nowMillis: number): Heartbeat.BeatOutcome => {
      const table = tableOf(key.kind)
      let dated = Heartbeat.accept(claimedMillis, nowMillis, table.options.windowMillis)
      // Over a connection of the row itself, nothing is refused because a clock is hours behind.
      if (dated === "ancient" && (rowOf(key)?.connections ?? 0) > 0) dated = Math.trunc(claimedMillis)
      touch()
      if (typeof dated !== "number") return reject(dated)
      const row = table.find(key)
      if (row === undefined) return first(table, key, nowMillis, dated, claimedMillis)
      return table.identity.owns(row, key)
        ? told(table, table.beat(row, dated, claimedMillis, nowMillis))
        : reject("foreign")
    },
    seen,
    connected: (key: PresenceKey, nowMillis: number) => {
      const outcome = seen(key, nowMillis)
      const row = rowOf(key)
      if (row !== undefined) {
        row.connections++
        const table = tableOf(key.kind)
        table.dropped.delete(row)
        // Since it was here before, the row may have been at another replica, and be marked as served there.
        if (outcome === "alive" && table.isShared) {
          table.stamp(row)
          claim()
        }
      }
      return outcome
    },
    disconnected: (key: PresenceKey, nowMillis: number) => {
      const row = rowOf(key)
      if (row === undefined || row.connections === 0) return
      touch()
      row.connections--
      if (row.connections > 0) return
      tableOf(key.kind).drop(row, nowMillis)
      wake()
    },
    end: (key: PresenceKey, claimedMillis: number, nowMillis: number): EndOutcome => {
      touch()
      const table = tableOf(key.kind)
      const accepted = Heartbeat.accept(claimedMillis, nowMillis, table.options.windowMillis)
      const row = table.find(key)
      if (row !== undefined && !table.identity.owns(row, key)) return "foreign"
      if (row === undefined && !table.identity.accepts(key)) return "invalid"
      if (row === undefined && !hasRoomForEnd(nowMillis)) return "full"
      const dated = accepted === "invalid" ? undefined : accepted === "ancient" ? Math.trunc(claimedMillis) : accepted
      table.end(key, row, dated, accepted === "invalid" ? undefined : claimedMillis, nowMillis)
      wake()
      return "ended"
    },
    takeCounts: () => {
      const counts = { coalesced, rejected }
      coalesced = 0
      rejected = noCounts()
      return counts
    }
  }
}

/**
 * **Details**
 *
 * - A report with a kind that is not among `kinds` throws `KindUndeclared`.
 * - `options` says the terms of all kinds, and in `kinds` those in which one differs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (kinds: PresenceKinds, options: RegistryOptions): PresenceRegistry["Type"] => {
  const reported = Effect.unsafeMakeLatch(false)
  const claimed = Effect.unsafeMakeLatch(false)
  const judgeable = Effect.unsafeMakeLatch(false)
  const tables = RowTables.make(kinds, options.capacity, options)
  const { rowOf, sum, tableOf } = tables
  const touch = (): void => reported.unsafeOpen()
  const claim = (): void => claimed.unsafeOpen()
  const wake = (): void => judgeable.unsafeOpen()
  return {
    capacity: options.capacity,
    kinds: tables.tables.map(({ kind }) => kind),
    ...makeReports(tables, { claim, touch, wake }),
    ...Batches.make(tables),
    reported,
    claimed,
    judgeable,
    forget: (key) => {
      const row = rowOf(key)
      if (row !== undefined) tableOf(key.kind).remove(row)
    },
    find: (key) => {
      const row = rowOf(key)
      return row === undefined ? undefined : { isOnline: row.isAlive, lastSeenMillis: row.seen }
    },
    isHeld: (key) => {
      const row = rowOf(key)
      return row !== undefined && (row.isAlive || tableOf(key.kind).pending.has(row))
    },
    reactivate: (key) => {
      const row = rowOf(key)
      if (row === undefined) return false
      const table = tableOf(key.kind)
      // Its newest place was another replica: what ran out here was a connection that the client had left before.
      if (table.isShared && row.holds === 0 && table.dropped.has(row)) {
        table.remove(row)
        return false
      }
      if (!table.reactivate(row)) return false
      touch()
      return true
    },
    restamp: () => {
      for (const table of tables.tables) {
        if (!table.isShared) continue
        for (const row of table.rows.values()) {
          // A row whose grace runs may be elsewhere, and this replica does not claim it.
          if (row.isAlive && !table.dropped.has(row)) table.stamp(row)
        }
        claim()
      }
      touch()
    },
    dueOffline: (nowMillis, scanLimit = scanLimitDefault) => {
      let count = 0
      for (const table of tables.tables) {
        count += table.takeDropped(nowMillis, scanLimit)
        count += table.takeSilent(nowMillis, scanLimit)
        table.evictEnds(nowMillis, scanLimit)
      }
      if (count > 0) touch()
      return count
    },
    nextDueMillis: () => Math.min(...tables.tables.map((table) => table.nextDue())),
    hasGrace: () => tables.tables.some((table) => table.dropped.size > 0),
    trackedCount: sum((table) => table.rows.size),
    pendingCount: sum((table) => table.pending.size),
    parkedCount: () => sum((table) => table.parked.size)(),
    oldestPendingMillis: () => {
      const oldest = Math.min(...tables.tables.map((table) => table.pending.oldest()))
      return Number.isFinite(oldest) ? oldest : undefined
    }
  }
}
