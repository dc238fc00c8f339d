/**
 * Who is online, by how many connections, and what waits for the next tick.
 *
 * Memory is the truth for "online now". The registry is mutable, owned by one
 * process and synchronous: a heartbeat costs one map lookup and no effect. Every
 * tracked row is held once, whatever the traffic.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { FlushBatch, FlushEntry, FlushResult } from "./FlushBatch.ts"
import * as Heartbeat from "./Heartbeat.ts"
import { RowTable } from "./internal/rowTable.ts"
import type { Row } from "./internal/rowTable.ts"
import type { PresenceKey } from "./PresenceKey.ts"
import { PresenceKind } from "./PresenceKey.ts"

/**
 * A row became offline in the database: silent for too long, disconnected for
 * longer than the grace, or ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition {
  readonly key: PresenceKey
  readonly lastSeenMillis: number
  readonly reason: "silent" | "disconnected" | "ended"
}

/**
 * @category models
 * @since 0.1.0
 */
export interface RegistryOptions {
  /** Heartbeats older than this are ignored, and end markers are kept as long. */
  readonly acceptanceWindow: Duration.DurationInput
  /** An active row is written again when its newest sign of life is more than this newer than the stored one. */
  readonly persistThreshold: Duration.DurationInput
  /** Silence after which a row is offline. */
  readonly offlineTimeout: Duration.DurationInput
  /** Time to come back after the last connection closed. */
  readonly disconnectGrace: Duration.DurationInput
  /** Rows tracked at once, over both kinds, end markers included. */
  readonly capacity: number
}

/**
 * Counts since the last time somebody asked.
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
 * The registry holds as many rows as it may, so a new one cannot be tracked.
 *
 * @category errors
 * @since 0.1.0
 */
export class PresenceFull extends Schema.TaggedError<PresenceFull>("presence-effect/PresenceFull")("PresenceFull", {
  kind: PresenceKind,
  capacity: Schema.NonNegativeInt
}) {
  /** @since 0.1.0 */
  readonly isRetryable = true
  /** @since 0.1.0 */
  override get message(): string {
    return `presence tracks ${this.capacity} rows, as many as it may: this ${this.kind} is not tracked`
  }
}

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
    /** A sign of life at a claimed time. Never moves a row backwards. */
    readonly beat: (key: PresenceKey, claimedMillis: number, nowMillis: number) => Heartbeat.BeatOutcome
    /** A connection opened: a sign of life now, and the end of a grace. */
    readonly connected: (key: PresenceKey, nowMillis: number) => Heartbeat.BeatOutcome
    /** A connection closed. The last one starts the grace. */
    readonly disconnected: (key: PresenceKey, nowMillis: number) => void
    /** Sets an end marker: signs of life that are not newer are ignored for as long as they would be accepted. */
    readonly end: (key: PresenceKey, claimedMillis: number, nowMillis: number) => "ended" | "foreign" | "full"
    /** Drops a row that was deleted. */
    readonly forget: (key: PresenceKey) => void
    readonly find: (key: PresenceKey) => { readonly isOnline: boolean; readonly lastSeenMillis: number } | undefined
    /** The row is online, or a change of it waits to be written: nobody else may judge it. */
    readonly isHeld: (key: PresenceKey) => boolean
    /** Somebody cleared `active` of a row in the database. When the row is online, it is written with the next tick. */
    readonly reactivate: (key: PresenceKey) => boolean
    /**
     * Takes rows offline whose grace is over or which have been silent for too long, and drops end markers that no
     * heartbeat can meet any more. Looks at `scanLimit` rows for silence and goes on there the next time.
     */
    readonly dueOffline: (nowMillis: number, scanLimit?: number) => number
    /** Takes everything that waits. The caller owns it until it confirms or gives it back. */
    readonly takeDirty: () => FlushBatch
    /** Takes one row, if it waits. */
    readonly takeKey: (key: PresenceKey) => FlushBatch
    /** The database has these. Answers the transitions that happened with them. */
    readonly confirm: (result: FlushResult) => ReadonlyArray<Transition>
    /** The database may not have these: they wait again, with the newest state of their rows. */
    readonly giveBack: (batch: FlushBatch) => void
    readonly trackedCount: (kind?: PresenceKind) => number
    readonly pendingCount: (kind?: PresenceKind) => number
    /** When the oldest change began to wait. */
    readonly oldestPendingMillis: () => number | undefined
    readonly takeCounts: () => BeatCounts
  }
>() {}

const noCounts = (): { -readonly [K in Rejection]: number } => ({
  invalid: 0,
  ancient: 0,
  ended: 0,
  foreign: 0,
  full: 0
})

/** Rows examined for room by one heartbeat that finds the registry full: a flood must not become a scan. */
const makeRoomLimit = 64

/** One walk step: about a millisecond. With a step each second a million rows are seen within a minute. */
const scanLimitDefault = 20_000

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: RegistryOptions): PresenceRegistry["Type"] => {
  const { capacity } = options
  const windowMillis = Duration.toMillis(options.acceptanceWindow)
  const timeoutMillis = Duration.toMillis(options.offlineTimeout)
  const graceMillis = Duration.toMillis(options.disconnectGrace)
  const thresholdMillis = Duration.toMillis(options.persistThreshold)
  const sessions = new RowTable("session", thresholdMillis)
  const machines = new RowTable("machine", thresholdMillis)
  const tables = [sessions, machines]
  let coalesced = 0
  let rejected = noCounts()

  const tableOf = (kind: PresenceKind): RowTable => (kind === "session" ? sessions : machines)
  const rowOf = (key: PresenceKey): Row | undefined => {
    const row = tableOf(key.kind).rows.get(key.id)
    return row !== undefined && row.accountId === key.accountId ? row : undefined
  }
  const reject = (reason: Rejection): Rejection => {
    rejected[reason]++
    return reason
  }
  const hasRoom = (nowMillis: number): boolean => {
    if (sessions.rows.size + machines.rows.size < capacity) return true
    for (const table of tables) table.evictFences(nowMillis - windowMillis, makeRoomLimit)
    return sessions.rows.size + machines.rows.size < capacity
  }

  const beatAt = (key: PresenceKey, seenAtMillis: number, nowMillis: number): Heartbeat.BeatOutcome => {
    const table = tableOf(key.kind)
    const row = table.rows.get(key.id)
    if (row === undefined) {
      if (!hasRoom(nowMillis)) return reject("full")
      table.track(key, seenAtMillis, nowMillis)
      return "online"
    }
    if (row.accountId !== key.accountId) return reject("foreign")
    const outcome = table.signOfLife(row, seenAtMillis, nowMillis)
    if (outcome === "ended") return reject(outcome)
    if (outcome === "dirty") return "alive"
    if (outcome === "clean") {
      coalesced++
      return "alive"
    }
    return outcome
  }

  const sum = (count: (table: RowTable) => number) => (kind?: PresenceKind) =>
    kind === undefined ? count(sessions) + count(machines) : count(tableOf(kind))

  return {
    capacity,
    beat: (key, claimedMillis, nowMillis) => {
      const seenAtMillis = Heartbeat.accept(claimedMillis, nowMillis, windowMillis)
      return typeof seenAtMillis === "number" ? beatAt(key, seenAtMillis, nowMillis) : reject(seenAtMillis)
    },
    connected: (key, nowMillis) => {
      const known = rowOf(key)
      if (known !== undefined) tableOf(key.kind).clearDrop(known)
      const outcome = beatAt(key, nowMillis, nowMillis)
      const row = rowOf(key)
      if (row !== undefined) row.connections++
      return outcome
    },
    disconnected: (key, nowMillis) => {
      const row = rowOf(key)
      if (row === undefined || row.connections === 0) return
      row.connections--
      if (row.connections === 0) tableOf(key.kind).drop(row, nowMillis)
    },
    end: (key, claimedMillis, nowMillis) => {
      const table = tableOf(key.kind)
      const accepted = Heartbeat.accept(claimedMillis, nowMillis, windowMillis)
      const row = table.rows.get(key.id)
      if (row !== undefined && row.accountId !== key.accountId) return "foreign"
      if (row === undefined && !hasRoom(nowMillis)) return "full"
      const claimed = accepted === "invalid" ? undefined : accepted === "ancient" ? claimedMillis : accepted
      table.end(key, row, claimed, nowMillis)
      return "ended"
    },
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
      return row !== undefined && tableOf(key.kind).reactivate(row)
    },
    dueOffline: (nowMillis, scanLimit = scanLimitDefault) => {
      let count = 0
      for (const table of tables) {
        count += table.takeDropped(nowMillis, graceMillis)
        count += table.takeSilent(nowMillis, timeoutMillis, scanLimit)
        table.evictFences(nowMillis - windowMillis, Number.POSITIVE_INFINITY)
      }
      return count
    },
    takeDirty: () => {
      const entries: Array<FlushEntry> = []
      for (const table of tables) table.takeDirty(entries)
      return { entries }
    },
    takeKey: (key) => {
      const row = rowOf(key)
      const entry = row === undefined ? undefined : tableOf(key.kind).take(row)
      return { entries: entry === undefined ? [] : [entry] }
    },
    confirm: (result) => {
      const transitions: Array<Transition> = []
      for (const entry of result.written) {
        const row = rowOf(entry)
        const reason = row === undefined ? undefined : tableOf(entry.kind).confirm(row, entry)
        if (row !== undefined && reason !== undefined) {
          const { accountId, id, kind } = entry
          transitions.push({ key: { kind, accountId, id }, lastSeenMillis: row.seen, reason })
        }
      }
      for (const entry of result.overtaken) {
        const row = rowOf(entry)
        if (row !== undefined) tableOf(entry.kind).overtaken(row, entry)
      }
      for (const entry of result.missing) {
        const row = rowOf(entry)
        if (row !== undefined && row.holds > 0) tableOf(entry.kind).remove(row)
      }
      return transitions
    },
    giveBack: (batch) => {
      for (const entry of batch.entries) {
        const row = rowOf(entry)
        if (row !== undefined) tableOf(entry.kind).giveBack(row)
      }
    },
    trackedCount: sum((table) => table.rows.size),
    pendingCount: sum((table) => table.pending.size),
    oldestPendingMillis: () => {
      const oldest = Math.min(...tables.map((table) => table.oldestPending()))
      return Number.isFinite(oldest) ? oldest : undefined
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
 * A heartbeat that fails with `PresenceFull` when a new row cannot be tracked,
 * for callers that answer 503. Reads the time from `Clock`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const beatOrFail = (
  key: PresenceKey,
  claimedMillis: number
): Effect.Effect<Exclude<Heartbeat.BeatOutcome, "full">, PresenceFull, PresenceRegistry> =>
  Effect.gen(function* () {
    const registry = yield* PresenceRegistry
    const outcome = registry.beat(key, claimedMillis, yield* Clock.currentTimeMillis)
    if (outcome === "full") return yield* new PresenceFull({ kind: key.kind, capacity: registry.capacity })
    return outcome
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: RegistryOptions): Layer.Layer<PresenceRegistry> =>
  Layer.sync(PresenceRegistry, () => make(options))
