/**
 * The rows of one kind, and what each needs from the next tick.
 *
 * Rows are small flat records in one map; sets beside it hold only the rows in
 * a special situation, in the order in which they came into it.
 */
import type { FlushEntry, FlushState } from "../FlushBatch.ts"
import type { PresenceKey, PresenceKind } from "../PresenceKey.ts"

type Reason = "silent" | "disconnected" | "ended"

/** What the database is known to say about `active`. After a write nobody confirmed: nothing. */
const unknown = 0
const active = 1
const inactive = 2

const states: ReadonlyArray<FlushState> = ["alive", "ended", "offline"]
const reasons: ReadonlyArray<Reason | undefined> = [undefined, "silent", "disconnected", "ended"]

/**
 * A million of these must fit a small box, so what has few values shares one
 * integer, two bits each. The initial values matter: `seen` and `persisted` are
 * doubles for ever and are changed in place, `droppedAt` costs a box only while
 * a grace runs.
 */
export class Row {
  connections = 0
  /** Batches that hold the row and have neither confirmed it nor given it back. */
  holds = 0
  /** When the last connection closed. Kept after the grace: what is older does not bring the row back. */
  droppedAt: number | undefined = undefined
  /** The newest value known to be in the database. */
  persisted = -1
  readonly id: string
  readonly accountId: string
  /** The newest sign of life; of an ended row its end marker. */
  seen: number
  private marks = 0

  constructor(id: string, accountId: string, seen: number) {
    this.id = id
    this.accountId = accountId
    this.seen = seen
  }

  get isAlive(): boolean {
    return (this.marks & 3) === 0
  }
  get state(): FlushState {
    return states[this.marks & 3] ?? "alive"
  }
  set state(state: FlushState) {
    this.mark(0, states.indexOf(state))
  }
  get stored(): number {
    return (this.marks >> 2) & 3
  }
  set stored(stored: number) {
    this.mark(2, stored)
  }
  get reason(): Reason | undefined {
    return reasons[(this.marks >> 4) & 3]
  }
  set reason(reason: Reason | undefined) {
    this.mark(4, reasons.indexOf(reason))
  }
  get isDirty(): boolean {
    return this.marks >> 6 === 1
  }
  set isDirty(isDirty: boolean) {
    this.mark(6, isDirty ? 1 : 0)
  }

  private mark(shift: number, value: number): void {
    this.marks = (this.marks & ~(3 << shift)) | (value << shift)
  }
}

export class RowTable {
  readonly rows = new Map<string, Row>()
  /** Dirty rows and rows in a batch, with the time since when, after `pendingFrom`: a small integer needs no box. */
  readonly pending = new Map<Row, number>()
  private pendingFrom = 0
  /** Rows whose grace runs, oldest first. */
  private readonly dropped = new Set<Row>()
  /** Ended rows, oldest first. */
  private readonly fences = new Set<Row>()
  private walk: Iterator<Row> | undefined = undefined
  private readonly kind: PresenceKind
  private readonly thresholdMillis: number

  constructor(kind: PresenceKind, thresholdMillis: number) {
    this.kind = kind
    this.thresholdMillis = thresholdMillis
  }

  track(key: PresenceKey, seen: number, now: number): Row {
    const row = new Row(key.id, key.accountId, seen)
    this.rows.set(key.id, row)
    this.markDirty(row, now)
    return row
  }

  signOfLife(row: Row, seen: number, now: number): "online" | "dirty" | "clean" | "ended" {
    stepBack(row, now)
    if (row.isAlive) {
      if (seen > row.seen) row.seen = seen
      if (row.droppedAt !== undefined && seen > row.droppedAt) this.clearDrop(row)
      if (row.isDirty || row.holds > 0 || !this.needsWrite(row)) return "clean"
      this.markDirty(row, now)
      return "dirty"
    }
    if (seen <= row.seen || (row.droppedAt !== undefined && seen <= row.droppedAt)) return "ended"
    row.state = "alive"
    row.seen = seen
    row.reason = undefined
    this.clearDrop(row)
    this.fences.delete(row)
    this.markDirty(row, now)
    return "online"
  }

  drop(row: Row, now: number): void {
    if (!row.isAlive) {
      if (row.state === "offline" && !this.pending.has(row)) this.remove(row)
      return
    }
    row.droppedAt = now
    this.dropped.delete(row)
    this.dropped.add(row)
  }

  clearDrop(row: Row): void {
    if (row.droppedAt === undefined) return
    row.droppedAt = undefined
    this.dropped.delete(row)
  }

  end(key: PresenceKey, known: Row | undefined, claimed: number | undefined, now: number): void {
    const row = known ?? this.track(key, claimed ?? now, now)
    stepBack(row, now)
    if (claimed !== undefined && claimed > row.seen) row.seen = claimed
    // A row that was shown offline before says nothing new by ending.
    if (row.isAlive || row.reason !== undefined) row.reason = "ended"
    row.state = "ended"
    this.clearDrop(row)
    this.fences.add(row)
    if (this.needsWrite(row)) this.markDirty(row, now)
  }

  takeDropped(now: number, graceMillis: number): number {
    let count = 0
    for (const row of this.dropped) {
      stepBack(row, now)
      if (row.droppedAt !== undefined && now - row.droppedAt < graceMillis) break
      this.dropped.delete(row)
      this.takeOffline(row, "disconnected", now)
      count++
    }
    return count
  }

  takeSilent(now: number, timeoutMillis: number, scanLimit: number): number {
    let count = 0
    // A map iterator survives changes of its map, so the walk goes on where it stopped.
    this.walk ??= this.rows.values()
    for (let step = 0; step < scanLimit; step++) {
      const next = this.walk.next()
      if (next.done === true) {
        this.walk = undefined
        break
      }
      const row = next.value
      stepBack(row, now)
      if (row.isAlive && now - row.seen > timeoutMillis) {
        this.dropped.delete(row)
        this.takeOffline(row, "silent", now)
        count++
      }
    }
    return count
  }

  evictFences(endedBefore: number, limit: number): void {
    let examined = 0
    for (const row of this.fences) {
      if (examined++ >= limit || row.seen >= endedBefore) return
      if (!this.pending.has(row) && row.connections === 0) this.remove(row)
    }
  }

  takeDirty(into: Array<FlushEntry>): void {
    for (const row of this.pending.keys()) {
      const entry = this.take(row)
      if (entry !== undefined) into.push(entry)
    }
  }

  /** When the oldest change began to wait. Infinity: none waits. */
  oldestPending(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const since of this.pending.values()) if (since < oldest) oldest = since
    return this.pendingFrom + oldest
  }

  take(row: Row): FlushEntry | undefined {
    if (!row.isDirty) return undefined
    row.isDirty = false
    row.holds++
    return { kind: this.kind, id: row.id, accountId: row.accountId, seenAtMillis: row.seen, state: row.state }
  }

  confirm(row: Row, entry: FlushEntry): Reason | undefined {
    if (row.holds === 0) return undefined
    if (entry.seenAtMillis > row.persisted) row.persisted = entry.seenAtMillis
    row.stored = entry.state === "alive" ? active : inactive
    let happened: Reason | undefined = undefined
    if (entry.state !== "alive" && entry.state === row.state) {
      happened = row.reason
      row.reason = undefined
    }
    this.settle(row)
    return happened
  }

  overtaken(row: Row, entry: FlushEntry): void {
    if (row.holds === 0) return
    if (entry.state === "alive") {
      if (entry.seenAtMillis > row.persisted) row.persisted = entry.seenAtMillis
      row.stored = inactive
      this.settle(row)
    } else if (row.state === "offline") {
      // Somebody else saw it later than we did: the row is theirs to judge.
      this.remove(row)
    } else {
      row.stored = active
      this.settle(row)
    }
  }

  giveBack(row: Row): void {
    if (row.holds === 0) return
    row.stored = unknown
    this.settle(row)
  }

  reactivate(row: Row): boolean {
    if (!row.isAlive) return false
    row.stored = unknown
    this.markDirty(row, row.seen)
    return true
  }

  remove(row: Row): void {
    this.rows.delete(row.id)
    this.pending.delete(row)
    this.dropped.delete(row)
    this.fences.delete(row)
    row.holds = 0
    row.isDirty = false
  }

  private takeOffline(row: Row, reason: Reason, now: number): void {
    row.state = "offline"
    row.reason = reason
    this.markDirty(row, now)
  }

  private markDirty(row: Row, since: number): void {
    row.isDirty = true
    if (!this.pending.has(row)) this.addPending(row, since)
  }

  private addPending(row: Row, since: number): void {
    if (this.pending.size === 0) this.pendingFrom = since
    this.pending.set(row, since - this.pendingFrom)
  }

  private needsWrite(row: Row): boolean {
    if (row.stored === unknown) return true
    if (row.isAlive) {
      return row.seen - row.persisted > this.thresholdMillis || (row.stored === inactive && row.seen > row.persisted)
    }
    // A reason is a transition nobody has been told of: telling is what a confirmed write does.
    return row.reason !== undefined || row.stored === active || row.seen > row.persisted
  }

  /** A batch let go of the row. */
  private settle(row: Row): void {
    row.holds--
    if (row.holds > 0) return
    row.isDirty = this.needsWrite(row)
    if (row.isDirty) {
      if (row.stored !== unknown) this.addPending(row, row.seen)
      return
    }
    this.pending.delete(row)
    // While a connection is open its count must be remembered.
    if (row.state === "offline" && row.connections === 0) this.remove(row)
  }
}

/**
 * Accepted times are never later than the clock was, so a later one means that
 * the clock was set back: what it said then must not hold the row up now.
 */
const stepBack = (row: Row, now: number): void => {
  if (row.seen > now) row.seen = now
  if (row.persisted > now) row.persisted = now
  if (row.droppedAt !== undefined && row.droppedAt > now) row.droppedAt = now
}
