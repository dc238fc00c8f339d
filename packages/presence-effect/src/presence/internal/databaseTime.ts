/** A storage whose times are by the clock of the database, as one by the clock of this process. */
import * as Effect from "effect/Effect"
import type { FlushEntry } from "../FlushBatch.ts"
import * as FlushBatch from "../FlushBatch.ts"
import type {
  BelievableTimes,
  FlushReport,
  PresenceStorage,
  RefusedEntry,
  StaleRow,
  StorageFailed
} from "../PresenceStorage.ts"
import { FlushFailed } from "../PresenceStorage.ts"

type Calls = Pick<PresenceStorage["Type"], "flush" | "findStale" | "markOffline">

const moved = <A extends FlushEntry & { readonly storedMillis?: number }>(entry: A, byMillis: number): A => ({
  ...entry,
  seenAtMillis: entry.seenAtMillis + byMillis,
  ...(entry.storedMillis === undefined ? {} : { storedMillis: entry.storedMillis + byMillis })
})

const movedReport = (report: FlushReport, byMillis: number): FlushReport => {
  const all = <A extends FlushEntry>(entries: ReadonlyArray<A>) => entries.map((entry) => moved(entry, byMillis))
  const { deferred, elsewhere, refused } = report
  return {
    ...report,
    written: all(report.written),
    superseded: all(report.superseded),
    missing: all(report.missing),
    ...(deferred === undefined ? {} : { deferred: all(deferred) }),
    ...(elsewhere === undefined ? {} : { elsewhere: all(elsewhere) }),
    ...(refused === undefined ? {} : { refused: all<RefusedEntry>(refused) })
  }
}

const movedTimes = ({ firstMillis, lastMillis }: BelievableTimes, byMillis: number): BelievableTimes => ({
  firstMillis: firstMillis + byMillis,
  lastMillis: lastMillis + byMillis
})

const movedRows = (rows: ReadonlyArray<StaleRow>, byMillis: number): ReadonlyArray<StaleRow> =>
  rows.map(({ key, lastSeenMillis }) => ({ key, lastSeenMillis: lastSeenMillis + byMillis }))

/** One offset for a call and its answer, so that an entry comes back with the time that it went in with. */
export const byOwnClock = (inner: Calls, offsetMillis: () => number): Calls => ({
  flush: ({ entries }, lane) =>
    Effect.suspend(() => {
      const ahead = offsetMillis()
      return Effect.mapBoth(inner.flush(FlushBatch.make(entries.map((entry) => moved(entry, ahead))), lane), {
        onFailure: ({ cause, report }) => new FlushFailed({ cause, report: movedReport(report, -ahead) }),
        onSuccess: (report) => movedReport(report, -ahead)
      })
    }),
  findStale: (kind, believable, limit, after) =>
    Effect.suspend(() => {
      const ahead = offsetMillis()
      return Effect.map(inner.findStale(kind, movedTimes(believable, ahead), limit, after), ({ next, rows }) => ({
        rows: movedRows(rows, -ahead),
        next
      }))
    }),
  markOffline: (keys, believable) =>
    Effect.suspend(() => {
      const ahead = offsetMillis()
      return Effect.map(inner.markOffline(keys, movedTimes(believable, ahead)), (rows) => movedRows(rows, -ahead))
    })
})

/** Rows that a takeover changed, by the clock of this process. */
export const takenByOwnClock = (
  taken: Effect.Effect<ReadonlyArray<StaleRow>, StorageFailed>,
  offsetMillis: () => number
): Effect.Effect<ReadonlyArray<StaleRow>, StorageFailed> =>
  Effect.map(taken, (rows) => movedRows(rows, -offsetMillis()))
