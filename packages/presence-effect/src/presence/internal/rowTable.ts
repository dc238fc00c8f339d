/**
 * The rows of one kind, and what each needs from the next tick.
 *
 * Rows are small flat records in one map; maps beside it hold only the rows in
 * a special situation, in the order in which they came into it.
 */
import type { FlushEntry, StoredEntry } from "../FlushBatch.ts"
import type { PresenceKey } from "../PresenceKey.ts"
import { isKeyedByAccount, type PresenceKind } from "../PresenceKind.ts"
import { HeldEnds } from "./heldEnds.ts"
import * as Parking from "./parking.ts"
import { PendingRows } from "./pendingRows.ts"
import { active, inactive, type Reason, Row, stepBack, undisputed, unknown } from "./row.ts"
import { RowIdentity } from "./rowIdentity.ts"
import type { TableOptions } from "./tableOptions.ts"

/** Why a row does not come back. */
interface End {
  /**
   * The end by the clock of the client: a beat must claim more. `undefined`: no end was reported, it was found in
   * the database.
   */
  readonly claimed: number | undefined
  /** The row was not tracked when it ended, so the stored state may be newer. The commit shows it. */
  readonly isProvisional: boolean
}

export class RowTable {
  readonly rows = new Map<string, Row>()
  /** Dirty rows and rows in a batch. */
  readonly pending = new PendingRows()
  /** Rows whose grace runs, with the time when their last connection closed, oldest first. */
  readonly dropped = new Map<Row, number>()
  /** Ended rows, oldest first. */
  readonly ends = new Map<Row, End>()
  readonly parked = new Map<Row, Parking.Parking>()
  private readonly heldEnds = new HeldEnds()
  /** Rows in batches that may carry a mark of this replica that no longer holds. */
  private readonly outdatedMarks = new Set<Row>()
  private walk: { readonly rows: Iterator<Row>; readonly since: number; oldest: number } | undefined = undefined
  /** No row without a connection showed its newest sign of life before. */
  private quietSince = Number.POSITIVE_INFINITY
  /** The newest reading of the clock. */
  private latest = 0
  readonly kind: string
  readonly identity: RowIdentity
  private readonly isById: boolean
  /** Several replicas serve rows of the kind, each under its mark. */
  readonly isShared: boolean
  readonly options: TableOptions

  constructor(name: string, kind: PresenceKind, options: TableOptions) {
    this.kind = name
    this.identity = new RowIdentity(name, kind)
    this.isById = !isKeyedByAccount(kind)
    this.isShared = kind.servedBy !== undefined
    this.options = options
  }

  /** The row with this name, of whatever account. Every heartbeat asks, so the usual name costs no call. */
  find(key: PresenceKey): Row | undefined {
    return this.rows.get(this.isById ? key.id : this.identity.nameOf(key))
  }

  track(key: PresenceKey, seen: number, claimed: number, now: number): Row {
    const row = new Row(key.id, this.identity.accountOf(key), seen, claimed, now)
    this.rows.set(this.identity.nameOf(key), row)
    this.observe(now)
    this.quietSince = Math.min(this.quietSince, now)
    this.markDirty(row, now)
    return row
  }

  /** A heartbeat. `dated`: the claim by the server's clock. Silence is counted from its arrival. */
  beat(row: Row, dated: number, claimed: number, now: number): "online" | "dirty" | "clean" | "ended" {
    stepBack(row, now)
    // An open connection proves that the row is there now, however wrong its clock is.
    const seen = dated > row.seen ? dated : row.connections > 0 || row.state === "offline" ? now : row.seen
    if (row.state === "ended" && !this.isNewerThanEnd(row, seen, claimed, now)) return "ended"
    if (claimed > row.claimed) row.claimed = claimed
    return this.live(row, seen, now)
  }

  /** The row did something, or opened a connection. That does not bring an ended row back: only a beat does. */
  show(row: Row, now: number): "online" | "dirty" | "clean" | "ended" {
    stepBack(row, now)
    if (row.state === "ended" && (now <= row.seen || this.ends.get(row)?.claimed !== undefined)) return "ended"
    return this.live(row, now, now)
  }

  private isNewerThanEnd(row: Row, seen: number, claimed: number, now: number): boolean {
    if (seen <= row.seen) return false
    const end = this.ends.get(row)?.claimed
    if (end === undefined || claimed > end) return true
    // Two clocks that differ must not keep a row that is there offline for longer than an end is remembered.
    return row.connections > 0 && now - row.arrived > this.options.windowMillis
  }

  private live(row: Row, seen: number, now: number): "online" | "dirty" | "clean" {
    const wasAlive = row.isAlive
    this.observe(now)
    row.arrived = now
    if (seen > row.seen) row.seen = seen
    this.dropped.delete(row)
    if (wasAlive) {
      if (row.isWaiting || !this.needsWrite(row)) return "clean"
      this.markDirty(row, now)
      return "dirty"
    }
    row.state = "alive"
    row.reason = undefined
    this.quietSince = Math.min(this.quietSince, now)
    this.ends.delete(row)
    this.markDirty(row, now)
    return "online"
  }

  /** The last connection closed. Until now the row was there. */
  drop(row: Row, now: number): void {
    stepBack(row, now)
    if (!row.isAlive) {
      if (row.state === "offline" && !this.pending.has(row) && !this.parked.has(row)) this.remove(row)
      return
    }
    this.observe(now)
    // The client may have left long ago for another replica, whose rows a time of now would claim.
    if (!this.isShared) row.seen = now
    row.arrived = now
    this.quietSince = Math.min(this.quietSince, now)
    this.dropped.delete(row)
    this.dropped.set(row, now)
  }

  /** `dated`: the end by the server's clock. `claimed`: by the clock of the client. Both are absent for a bad claim. */
  end(key: PresenceKey, known: Row | undefined, dated: number | undefined, claimed: number | undefined, now: number) {
    const row = known ?? this.track(key, dated ?? now, Number.NEGATIVE_INFINITY, now)
    stepBack(row, now)
    this.observe(now)
    if (dated !== undefined && dated > row.seen) row.seen = dated
    row.claimed = Math.max(row.claimed, claimed ?? now)
    // The end of a row that was shown offline before is not a transition.
    if (row.isAlive || row.reason !== undefined) row.reason = "ended"
    row.state = "ended"
    row.arrived = now
    this.dropped.delete(row)
    const isProvisional = known === undefined || this.ends.get(row)?.isProvisional === true
    this.ends.delete(row)
    this.ends.set(row, { claimed: isProvisional ? Math.max(row.claimed, now) : row.claimed, isProvisional })
    if (this.needsWrite(row)) this.markDirty(row, now)
  }

  takeDropped(now: number, limit: number): number {
    const { graceMillis } = this.options
    let count = 0
    for (const [row, droppedAt] of this.dropped) {
      if (droppedAt > now) {
        // The clock was set back.
        this.dropped.set(row, now)
        continue
      }
      if (now - droppedAt < graceMillis || count >= limit) break
      row.seen = Math.max(row.seen, droppedAt)
      this.takeOffline(row, "disconnected", now)
      count++
    }
    return count
  }

  /** Looks at `scanLimit` rows, once one of them may have been silent for too long. */
  takeSilent(now: number, scanLimit: number): number {
    const { timeoutMillis } = this.options
    this.observe(now)
    // A time that lies ahead is from before the clock was set back.
    if (this.walk === undefined && this.quietSince <= now && now - this.quietSince <= timeoutMillis) return 0
    let count = 0
    // A map iterator survives changes of its map, so the walk goes on where it stopped.
    const walk = (this.walk ??= { rows: this.rows.values(), since: now, oldest: now })
    for (let step = 0; step < scanLimit; step++) {
      const next = walk.rows.next()
      if (next.done === true) {
        this.walk = undefined
        this.quietSince = Math.min(walk.oldest, walk.since)
        break
      }
      const row = next.value
      stepBack(row, now)
      // The transport checks that an open connection still answers.
      if (!row.isAlive || row.connections > 0) continue
      if (now - row.arrived > timeoutMillis) {
        this.takeOffline(row, "silent", now)
        count++
      } else if (row.arrived < walk.oldest) {
        walk.oldest = row.arrived
      }
    }
    return count
  }

  /** When a row may be due for the next time, if nothing is reported until then. */
  nextDue(): number {
    const { graceMillis, timeoutMillis } = this.options
    if (this.walk !== undefined) return Number.NEGATIVE_INFINITY
    const [droppedAt] = this.dropped.values()
    const [ended] = this.ends.keys()
    return Math.min(
      droppedAt === undefined ? Number.POSITIVE_INFINITY : droppedAt + graceMillis,
      this.rows.size === 0 ? Number.POSITIVE_INFINITY : this.quietSince + timeoutMillis + 1,
      ended === undefined ? Number.POSITIVE_INFINITY : ended.arrived + this.options.windowMillis + 1
    )
  }

  evictEnds(now: number, limit: number): void {
    let examined = 0
    for (const row of this.ends.keys()) {
      stepBack(row, now)
      if (examined++ >= limit || now - row.arrived <= this.options.windowMillis) return
      if (!this.pending.has(row) && row.connections === 0) this.remove(row)
    }
  }

  /** Parked rows whose time has come wait again. */
  unpark(now: number): void {
    for (const [row, parking] of this.parked) {
      if (!Parking.isDue(parking, now)) continue
      this.parked.set(row, Parking.waiting(parking))
      this.markDirty(row, now)
    }
  }

  take(row: Row): FlushEntry | undefined {
    if (!row.isDirty || !this.heldEnds.take(row)) return undefined
    row.isDirty = false
    row.holds++
    const { accountId, id, seen: seenAtMillis, state } = row
    return accountId === undefined
      ? { kind: this.kind, id, seenAtMillis, state }
      : { kind: this.kind, id, accountId, seenAtMillis, state }
  }

  confirm(row: Row, entry: StoredEntry): Reason | undefined {
    if (row.holds === 0) return undefined
    this.parked.delete(row)
    if (entry.seenAtMillis > row.persisted) row.persisted = entry.seenAtMillis
    row.stored = entry.state === "alive" ? active : inactive
    this.learnEnd(row, entry)
    this.heldEnds.release(row, entry)
    let happened: Reason | undefined = undefined
    if (entry.state !== "alive" && entry.state === row.state) {
      // A row that ended here may have been online at another replica since.
      happened = row.reason ?? (entry.wasActive === true ? "ended" : undefined)
      row.reason = undefined
    }
    this.settle(row)
    return happened
  }

  /** An end of a row that was not tracked: its stored state is known now. */
  private learnEnd(row: Row, { seenAtMillis, state, storedMillis = seenAtMillis }: StoredEntry): void {
    const end = this.ends.get(row)
    if (state !== "ended" || end?.isProvisional !== true) return
    if (storedMillis > row.seen) row.seen = storedMillis
    if (storedMillis > row.persisted) row.persisted = storedMillis
    this.ends.set(row, { claimed: Math.max(row.claimed, storedMillis), isProvisional: false })
  }

  /** The stored state is newer. Returns whether the row is shown offline because of it. */
  superseded(row: Row, entry: StoredEntry, now: number): boolean {
    if (row.holds === 0) return false
    this.parked.delete(row)
    this.heldEnds.release(row, entry)
    const { storedMillis = entry.seenAtMillis } = entry
    let isOffline = false
    if (entry.state === "alive") {
      if (storedMillis > row.persisted) row.persisted = storedMillis
      row.stored = inactive
      // Over an open connection a claim that is older than what is known is dated by its arrival. Only after the clock
      // was set back that is older too, and the connection proves that the row is there now.
      const proven = row.arrived > storedMillis ? row.arrived : this.isShared ? undisputed(row, storedMillis) : now
      if (row.isAlive && row.connections > 0 && proven > row.seen) row.seen = proven
      // The row is offline since, and nothing newer was reported: what was taken for a sign of life was an old one.
      if (row.isAlive && row.seen <= storedMillis) {
        row.state = "ended"
        row.seen = storedMillis
        this.dropped.delete(row)
        this.ends.delete(row)
        this.ends.set(row, { claimed: undefined, isProvisional: false })
        isOffline = true
      }
      this.settle(row)
    } else if (row.state === "offline") {
      // Another process has a newer sign of life and is responsible for the row.
      this.remove(row)
    } else {
      row.stored = active
      this.settle(row)
    }
    return isOffline
  }

  /** The database refuses the row itself: it is tried again later and less and less often. */
  refused(row: Row, entry: FlushEntry, now: number): void {
    if (row.holds === 0) return
    this.heldEnds.release(row, entry)
    row.holds--
    row.stored = unknown
    const parking = Parking.after(this.parked.get(row), now)
    if (Parking.isHopeless(parking) && !row.isAlive && row.connections === 0) return this.remove(row)
    this.parked.set(row, parking)
    if (row.holds > 0) return
    row.isDirty = false
    this.pending.delete(row)
  }

  giveBack(row: Row, entry: FlushEntry): void {
    if (row.holds === 0) return
    this.heldEnds.release(row, entry)
    row.stored = unknown
    this.settle(row)
  }

  reactivate(row: Row): boolean {
    if (!row.isAlive) return false
    row.stored = unknown
    this.markDirty(row, this.latest)
    return true
  }

  /** The mark of this replica must be written anew, whatever a batch that holds the row now writes. */
  stamp(row: Row): void {
    if (row.holds > 0) this.outdatedMarks.add(row)
    row.stored = unknown
    this.markDirty(row, this.latest)
  }

  remove(row: Row): void {
    this.rows.delete(this.identity.nameOf(row))
    this.outdatedMarks.delete(row)
    this.pending.delete(row)
    this.dropped.delete(row)
    this.ends.delete(row)
    this.parked.delete(row)
    this.heldEnds.delete(row)
    row.holds = 0
    row.isDirty = false
  }

  /** A clock that was set back: rows are looked at now, so that none waits for it to catch up. */
  private observe(now: number): void {
    if (now < this.latest) {
      this.walk = undefined
      this.quietSince = Number.NEGATIVE_INFINITY
    }
    this.latest = now
  }

  private takeOffline(row: Row, reason: Reason, now: number): void {
    this.dropped.delete(row)
    row.state = "offline"
    row.reason = reason
    this.markDirty(row, now)
  }

  private markDirty(row: Row, since: number): void {
    if (this.isParked(row)) return
    row.isDirty = true
    if (!this.pending.has(row)) this.pending.add(row, since)
  }

  private isParked(row: Row): boolean {
    const parking = this.parked.get(row)
    return parking !== undefined && !Parking.isWaiting(parking)
  }

  private needsWrite(row: Row): boolean {
    if (this.isParked(row)) return false
    if (row.stored === unknown) return true
    if (row.isAlive) {
      const { thresholdMillis } = this.options
      return row.seen - row.persisted > thresholdMillis || (row.stored === inactive && row.seen > row.persisted)
    }
    // A reason is a transition that was not announced yet: it is announced when its write is acknowledged.
    return row.reason !== undefined || row.stored === active || row.seen > row.persisted
  }

  /** A batch no longer holds the row. */
  private settle(row: Row): void {
    row.holds--
    if (row.holds > 0) return
    if (this.outdatedMarks.delete(row)) row.stored = unknown
    row.isDirty = this.needsWrite(row)
    if (row.isDirty) {
      if (row.stored !== unknown) this.pending.add(row, Math.max(this.latest, row.arrived))
      return
    }
    this.pending.delete(row)
    // While a connection is open its count must be remembered.
    if (row.state === "offline" && row.connections === 0) this.remove(row)
  }
}
