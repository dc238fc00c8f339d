/** Rows that wait to be written or for the answer to their write, oldest first, with the time since when. */
import type { Row } from "./row.ts"

export class PendingRows {
  /** The time since when, after `from`: small, so unboxed. */
  private readonly since = new Map<Row, number>()
  private from = 0

  get size(): number {
    return this.since.size
  }

  has(row: Row): boolean {
    return this.since.has(row)
  }

  keys(): Iterator<Row> & Iterable<Row> {
    return this.since.keys()
  }

  add(row: Row, since: number): void {
    if (this.since.size === 0) this.from = since
    this.since.delete(row)
    this.since.set(row, since - this.from)
  }

  delete(row: Row): void {
    this.since.delete(row)
  }

  /** When the oldest change began to wait. Infinity: none waits. */
  oldest(): number {
    const [oldest] = this.since.values()
    return oldest === undefined ? Number.POSITIVE_INFINITY : this.from + oldest
  }
}
