/** What is counted about lists that are not whole. */
import { Metric } from "effect"

const unreadable = Metric.counter("database_unreadable_rows_total", {
  description: "Rows that do not fit their schema and were left out of a list",
  incremental: true
})

const cut = Metric.counter("database_cut_lists_total", {
  description: "Lists without a cursor that were cut because they weighed too much",
  incremental: true
})

export const countUnreadable = (table: string, rowCount: number): void =>
  Metric.tagged(unreadable, "table", table).unsafeUpdate(rowCount, [])

export const countCut = (table: string): void => Metric.tagged(cut, "table", table).unsafeUpdate(1, [])

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const table of ["Session", "Machine", "SessionMessage"]) {
    countUnreadable(table, 0)
    Metric.tagged(cut, "table", table).unsafeUpdate(0, [])
  }
}
