/**
 * What a run sees, collected while it happens.
 *
 * A registration is measured from the moment it was meant to arrive, not from the moment it was handled. One
 * that has no answer yet counts with the time it has waited so far, so a stall cannot hide those it keeps waiting.
 */
import { build, type Histogram } from "hdr-histogram-js"
import * as Scenario from "./Scenario.ts"

interface Registration {
  readonly intendedMillis: number
  answeredMillis: number | undefined
}

interface Flush {
  readonly startedMillis: number
  readonly rowCount: number
  endedMillis: number | undefined
  writtenCount: number
}

/** The end of a flush: how many rows it wrote. */
export type FlushEnd = (writtenCount: number, nowMillis: number) => void

/** Times are milliseconds from the start of the load. */
export interface Meter {
  /** A machine wants to register; only arrivals in the measured time are given to the meter. */
  readonly intended: (id: string, intendedMillis: number) => void
  readonly attempted: () => void
  readonly answered: (id: string, nowMillis: number) => void
  /** Registrations without an answer that came after `sinceMillis`. */
  readonly waitingSince: (sinceMillis: number) => number
  readonly flushStarted: (rowCount: number, nowMillis: number) => FlushEnd
  /** The lock, or the permit, was held for so long. */
  readonly held: (millis: number) => void
  /** One statement crossed to the engine and its answer back. */
  readonly crossed: (millis: number) => void
  /** Machines whose registration was acknowledged. */
  readonly acknowledged: () => ReadonlyArray<string>
  readonly read: (nowMillis: number, measuredMillis: number) => Reading
}

/** One machine: when it came, and how long it took. `isAnswered` false: it waited for so long without an answer. */
export interface RegistrationPoint {
  readonly atMillis: number
  readonly tookMillis: number
  readonly isAnswered: boolean
}

export interface FlushPoint {
  readonly atMillis: number
  readonly tookMillis: number
  readonly rowCount: number
  readonly writtenCount: number
  readonly isEnded: boolean
}

export interface Reading {
  readonly registration: {
    readonly count: number
    readonly p50Millis: number
    /** Of fewer than a hundred values it would be the slowest one under another name: `undefined`. */
    readonly p99Millis: number | undefined
    readonly maxMillis: number
    /** Not answered before the daemon gave up: they count with the time they waited. */
    readonly missedCount: number
    /** Tries of all daemons, those of the unmeasured tail included. */
    readonly attemptCount: number
  }
  readonly flush: {
    readonly count: number
    readonly p50Millis: number
    readonly maxMillis: number
    /** Flushes that wrote none of their rows. */
    readonly emptyCount: number
    readonly unendedCount: number
    readonly rowCount: number
    readonly writtenCount: number
    /** The last one that ended. */
    readonly last: { readonly writtenCount: number; readonly rowCount: number } | undefined
  }
  /** Of the time of the load. */
  readonly heldShare: number
  /** What one crossing took, the work in the engine included. `undefined` where nothing crosses. */
  readonly crossingMeanMillis: number | undefined
  readonly registrations: ReadonlyArray<RegistrationPoint>
  readonly flushes: ReadonlyArray<FlushPoint>
}

/** Microseconds up to an hour, three digits. */
const histogramOf = (millis: ReadonlyArray<number>): Histogram => {
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, useWebAssembly: false })
  for (const value of millis) histogram.recordValue(Math.max(1, Math.round(value * 1_000)))
  return histogram
}

/** From so many values on, one of a hundred is not simply the slowest. */
export const p99From = 100

const quantiles = (millis: ReadonlyArray<number>) => {
  const histogram = histogramOf(millis)
  const maxMillis = millis.reduce((most, one) => Math.max(most, one), 0)
  // The histogram rounds to three digits, upwards.
  const at = (percentile: number) => Math.min(maxMillis, histogram.getValueAtPercentile(percentile) / 1_000)
  return { p50Millis: at(50), p99Millis: millis.length < p99From ? undefined : at(99), maxMillis }
}

const readRegistrations = (
  points: ReadonlyArray<RegistrationPoint>,
  attemptCount: number
): Reading["registration"] => ({
  count: points.length,
  ...quantiles(points.map(({ tookMillis }) => tookMillis)),
  missedCount: points.filter(({ isAnswered, tookMillis }) => !isAnswered || tookMillis > Scenario.daemonLimitMillis)
    .length,
  attemptCount
})

const readFlushes = (points: ReadonlyArray<FlushPoint>): Reading["flush"] => {
  const ended = points.filter(({ isEnded }) => isEnded)
  const { maxMillis, p50Millis } = quantiles(points.map(({ tookMillis }) => tookMillis))
  const latest = ended.toSorted((left, right) => left.atMillis + left.tookMillis - right.atMillis - right.tookMillis)
  const last = latest.at(-1)
  return {
    count: points.length,
    p50Millis,
    maxMillis,
    emptyCount: ended.filter(({ writtenCount }) => writtenCount === 0).length,
    unendedCount: points.length - ended.length,
    rowCount: ended.reduce((sum, { rowCount }) => sum + rowCount, 0),
    writtenCount: ended.reduce((sum, { writtenCount }) => sum + writtenCount, 0),
    last: last === undefined ? undefined : { writtenCount: last.writtenCount, rowCount: last.rowCount }
  }
}

/** No wait is longer than that of a daemon. */
const waited = (millis: number): number => Math.min(millis, Scenario.daemonLimitMillis)

export const make = (): Meter => {
  const registrations = new Map<string, Registration>()
  const acknowledged = new Set<string>()
  const flushes: Array<Flush> = []
  let attemptCount = 0
  let heldMillis = 0
  let crossingCount = 0
  let crossingMillis = 0
  return {
    intended: (id, intendedMillis) => void registrations.set(id, { intendedMillis, answeredMillis: undefined }),
    attempted: () => void attemptCount++,
    answered: (id, nowMillis) => {
      acknowledged.add(id)
      const registration = registrations.get(id)
      if (registration !== undefined) registration.answeredMillis ??= nowMillis
    },
    waitingSince: (sinceMillis) =>
      [...registrations.values()].filter(
        ({ answeredMillis, intendedMillis }) => answeredMillis === undefined && intendedMillis > sinceMillis
      ).length,
    flushStarted: (rowCount, startedMillis) => {
      const flush: Flush = { startedMillis, rowCount, endedMillis: undefined, writtenCount: 0 }
      flushes.push(flush)
      return (writtenCount, nowMillis) => {
        flush.writtenCount = writtenCount
        flush.endedMillis = nowMillis
      }
    },
    held: (millis) => void (heldMillis += millis),
    crossed: (millis) => {
      crossingCount++
      crossingMillis += millis
    },
    acknowledged: () => [...acknowledged],
    read: (nowMillis, measuredMillis) => {
      const registrationPoints = [...registrations.values()].map(({ answeredMillis, intendedMillis }) => ({
        atMillis: intendedMillis,
        tookMillis: answeredMillis === undefined ? waited(nowMillis - intendedMillis) : answeredMillis - intendedMillis,
        isAnswered: answeredMillis !== undefined
      }))
      const flushPoints = flushes
        .filter(({ startedMillis }) => startedMillis <= measuredMillis)
        .map(({ endedMillis, rowCount, startedMillis, writtenCount }) => ({
          atMillis: startedMillis,
          tookMillis: (endedMillis ?? nowMillis) - startedMillis,
          rowCount,
          writtenCount,
          isEnded: endedMillis !== undefined
        }))
      return {
        registration: readRegistrations(registrationPoints, attemptCount),
        flush: readFlushes(flushPoints),
        heldShare: nowMillis > 0 ? Math.min(1, heldMillis / nowMillis) : 0,
        crossingMeanMillis: crossingCount > 0 ? crossingMillis / crossingCount : undefined,
        registrations: registrationPoints,
        flushes: flushPoints
      }
    }
  }
}
