/** What is known of one row. Small and flat: a million of them must fit a small box. */
import type { FlushState } from "../FlushBatch.ts"

export type Reason = "silent" | "disconnected" | "ended"

/** The known value of `active` in the database. Unknown after an unconfirmed write. */
export const unknown = 0
export const active = 1
export const inactive = 2

const states: ReadonlyArray<FlushState> = ["alive", "ended", "offline"]
const reasons: ReadonlyArray<Reason | undefined> = [undefined, "silent", "disconnected", "ended"]

/**
 * What has few values shares one integer, two bits each, and a count above them.
 * The initial values matter: the times are doubles for ever and are changed in
 * place.
 */
export class Row {
  connections = 0
  /** The newest value known to be in the database. */
  persisted = -1
  readonly id: string
  readonly accountId: string | undefined
  /** The date of the newest sign of life, by the server's clock; of an ended row its end marker. */
  seen: number
  /** When the newest sign of life, or the end, arrived. Silence is counted from here, whatever clients claim. */
  arrived: number
  /** The newest time that was claimed, by the clock of the client. */
  claimed: number
  private marks = 0

  constructor(id: string, accountId: string | undefined, seen: number, claimed: number, now: number) {
    this.id = id
    this.accountId = accountId
    this.seen = seen
    this.arrived = now
    this.claimed = claimed
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
    return (this.marks & 64) !== 0
  }
  set isDirty(isDirty: boolean) {
    this.mark(6, isDirty ? 1 : 0)
  }
  /** Batches that hold the row and have neither acknowledged nor requeued it. */
  get holds(): number {
    return this.marks >> 8
  }
  set holds(holds: number) {
    this.marks = (this.marks & 255) | (holds << 8)
  }

  /** Dirty, or in a batch. */
  get isWaiting(): boolean {
    return this.marks >> 6 !== 0
  }

  private mark(shift: number, value: number): void {
    this.marks = (this.marks & ~(3 << shift)) | (value << shift)
  }
}

/**
 * Accepted times are never later than the clock was, so a later one means that
 * the clock was set back: a time from before must not keep the row online now.
 */
export const stepBack = (row: Row, now: number): void => {
  if (row.seen > now) row.seen = now
  if (row.persisted > now) row.persisted = now
  if (row.arrived > now) row.arrived = now
}

/**
 * What an open connection proves where replicas share the row: it may be half open, so only that the newest sign of
 * life still counts, if it was here.
 */
export const undisputed = (row: Row, storedMillis: number): number =>
  row.seen === storedMillis ? storedMillis + 1 : row.seen
