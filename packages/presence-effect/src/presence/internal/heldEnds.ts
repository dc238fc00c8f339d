/**
 * Rows whose end is in batches that were not answered yet.
 *
 * An end is stored whatever the stored time is, so what came after one waits for
 * its answer: if the two were committed in the other order, the row would stay
 * offline.
 */
import type { FlushState } from "../FlushBatch.ts"
import type { Row } from "./row.ts"

export class HeldEnds {
  private readonly counts = new Map<Row, number>()

  /** Whether the state may be taken into a batch now; an end that is taken is held from now on. */
  take(row: Row): boolean {
    const count = this.counts.get(row) ?? 0
    if (row.state === "ended") this.counts.set(row, count + 1)
    else if (count > 0) return false
    return true
  }

  /** A batch that had this state of the row was answered. */
  release(row: Row, { state }: { readonly state: FlushState }): void {
    if (state !== "ended") return
    const others = (this.counts.get(row) ?? 1) - 1
    if (others === 0) this.counts.delete(row)
    else this.counts.set(row, others)
  }

  delete(row: Row): void {
    this.counts.delete(row)
  }
}
