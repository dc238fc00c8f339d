/** Metrics of reads: incomplete lists, and the threads that read. */
import { Effect, Metric, MetricBoundaries } from "effect"
import * as Tally from "../Tally.ts"

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

const waiting = Tally.gauge("database_reads_waiting", "Reads that wait for a thread", ["class"])

const limits = Tally.gauge("database_reads_waiting_limit", "Reads that may wait for a thread", ["class"])

const overflows = Tally.counter("database_reads_refused_total", "Reads that found the queue of their class full", [
  "class"
])

const replaced = Tally.counter("database_reader_threads_replaced_total", "Threads that read and were replaced", [
  "reason"
])

const waitSeconds = Metric.histogram(
  "database_read_wait_seconds",
  MetricBoundaries.fromIterable([0.001, 0.005, 0.025, 0.1, 0.5, 1, 2, 4, 8]),
  "How long a read waited for a thread"
)

const waits = new Map<string, Metric.Metric.Histogram<number>>()

export const setWaiting = (readClass: string, count: number): void => waiting({ class: readClass }, count)

export const setLimit = (readClass: string, limit: number): void => limits({ class: readClass }, limit)

export const countOverflow = (readClass: string): void => overflows({ class: readClass })

export const countReplaced = (reason: "overdue" | "died"): void => replaced({ reason })

const waitOf = (readClass: string): Metric.Metric.Histogram<number> => {
  const known = waits.get(readClass) ?? Metric.tagged(waitSeconds, "class", readClass)
  waits.set(readClass, known)
  return known
}

export const observeWait = (readClass: string, waitedMillis: number): void =>
  waitOf(readClass).unsafeUpdate(waitedMillis / 1000, [])

/** Lets every series exist from the first scrape on. */
export const start = (): void => {
  for (const table of ["Session", "Machine", "SessionMessage"]) {
    countUnreadable(table, 0)
    Metric.tagged(cut, "table", table).unsafeUpdate(0, [])
  }
  for (const readClass of ["point", "list", "report"]) {
    setWaiting(readClass, 0)
    overflows({ class: readClass }, 0)
    Effect.runSync(Metric.value(waitOf(readClass)))
  }
  for (const reason of ["overdue", "died"]) replaced({ reason }, 0)
}
