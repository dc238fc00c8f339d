/** What the figures of a run mean, in words. */
import type { Figures } from "./Figures.ts"
import * as Scenario from "./Scenario.ts"
import { entryOf, type Place } from "./strategies/Catalogue.ts"

/** `collapsed`: a machine was not registered in time, or the last flush wrote nothing. `strained`: it came near. */
export type Verdict = "steady" | "strained" | "collapsed"

const strainedMillis = 1_000

export const of = ({ flush, registration }: Pick<Figures, "flush" | "registration">): Verdict => {
  if (registration.missedCount > 0 || flush.last?.writtenCount === 0) return "collapsed"
  if ((registration.p99Millis ?? registration.maxMillis) > strainedMillis || flush.emptyCount > 0) return "strained"
  return "steady"
}

export const millisText = (millis: number): string => {
  if (millis >= 10_000) return `${(millis / 1_000).toFixed(0)} s`
  if (millis >= 1_000) return `${(millis / 1_000).toFixed(1)} s`
  return millis >= 9.95 ? `${millis.toFixed(0)} ms` : `${millis.toFixed(1)} ms`
}

export const shareText = (share: number): string =>
  share > 0 && share < 0.01 ? "< 1 %" : `${(share * 100).toFixed(0)} %`

/** The words of the incident's log. */
export const flushedText = ({ last }: Figures["flush"]): string =>
  last === undefined ? "none ended" : `${last.writtenCount}/${last.rowCount}`

const collapse = ({ flush, registration }: Figures): string => {
  const missed = `${registration.missedCount} of ${registration.count} machines were not registered within 10 s`
  const empty = flush.emptyCount === 0 ? "" : `; ${flush.emptyCount} of ${flush.count} flushes wrote none of their rows`
  return `${missed}${empty}; the last one "Flushed ${flushedText(flush)}"`
}

const course = (figures: Figures): string => {
  const { flush, registration } = figures
  const verdict = of(figures)
  if (verdict === "collapsed") return `collapsed: ${collapse(figures)}`
  const slowest = millisText(registration.maxMillis)
  const waited = `all ${registration.count} machines were registered, the slowest after ${slowest}`
  const flushed = `a flush of ${flush.last?.rowCount ?? 0} rows took ${millisText(flush.p50Millis)}`
  return `${verdict === "steady" ? "did not collapse" : "was strained"}: ${waited}; ${flushed}`
}

const placeOf = ({ database, strategy }: Figures): Place => entryOf(strategy, database).place

/** One sentence per run, whatever came out. */
export const sentence = (figures: Figures): string =>
  `${figures.strategy}, ${figures.sessionCount} sessions (${placeOf(figures)}) ${course(figures)}.`

const nameOf = (run: Figures, isAlone: boolean): string =>
  isAlone ? run.strategy : `${run.strategy} at ${run.sessionCount} sessions`

const listOf = (names: ReadonlyArray<string>): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`

/** The larger the share of machines that it left waiting, the worse; then the longer they waited. */
const byHarm = (left: Figures, right: Figures): number =>
  right.registration.missedCount / right.registration.count - left.registration.missedCount / left.registration.count ||
  right.registration.maxMillis - left.registration.maxMillis

/** The run that a collapsed one is compared with: this project with an engine in the same place, if it ran. */
const counterpart = (collapsed: Figures, others: ReadonlyArray<Figures>): Figures | undefined => {
  const place = placeOf(collapsed)
  const peers = others.filter(({ sessionCount }) => sessionCount === collapsed.sessionCount)
  const ours = peers.filter(({ strategy }) => entryOf(strategy).lanes === "priority")
  return ours.find((run) => placeOf(run) === place) ?? ours[0] ?? peers.toSorted(byHarm).at(-1)
}

/** The answer of all runs together, in one or two sentences. */
export const headline = (figures: ReadonlyArray<Figures>): string => {
  const isAlone = new Set(figures.map(({ sessionCount }) => sessionCount)).size === 1
  const lost = figures.filter(({ evidence }) => evidence.acknowledgedMissingCount > 0)
  if (lost.length > 0) return `${listOf(lost.map((run) => nameOf(run, isAlone)))} LOST acknowledged registrations.`
  const [worst, ...others] = figures.toSorted(byHarm)
  if (worst === undefined) return "Nothing was run."
  const collapsed = figures.filter((run) => of(run) === "collapsed").toSorted(byHarm)
  const [first] = collapsed
  if (first === undefined) {
    const slowest = `the slowest after ${millisText(worst.registration.maxMillis)}`
    const whose = others.length === 0 ? "" : `, with ${nameOf(worst, isAlone)}`
    return `No collapse: every machine was registered within 10 s, ${slowest}${whose}.`
  }
  const { count, missedCount } = first.registration
  const harm =
    missedCount > 0
      ? `${missedCount} of ${count} machines were not registered within 10 s`
      : "its flushes wrote nothing"
  const more = collapsed.length === 1 ? "" : `, and ${collapsed.length - 1} more`
  const begin = `${nameOf(first, isAlone)}${more} collapsed: ${harm}.`
  const other = counterpart(
    first,
    figures.filter((run) => of(run) !== "collapsed")
  )
  if (other === undefined) return begin
  const slowest = `the slowest after ${millisText(other.registration.maxMillis)}`
  return `${begin} With ${other.strategy} all ${other.registration.count} were registered, ${slowest}.`
}

const diskText = {
  sqlite:
    `The disk is modelled: ${Scenario.slowSyncMillis} ms are added to each commit that waits for it, in the ` +
    "engine while it holds the lock; for presence-effect while it holds the permit.",
  postgres:
    `The disk is modelled: the server waits ${Scenario.slowSyncMillis} ms longer before it syncs its log, and ` +
    "commits that wait at the same time share that."
}

const foreignText = { sqlite: "took the write lock", postgres: "locked the rows of all sessions" }

/** What a reader must know before believing the table. */
export const caveats = (
  figures: ReadonlyArray<Figures>,
  { database, disk, hasForeignLock, roundTripMillis }: Scenario.Scenario
): ReadonlyArray<string> => {
  const crossings = figures.flatMap(({ crossingMeanMillis }) =>
    crossingMeanMillis === undefined ? [] : [crossingMeanMillis]
  )
  const slowest = Math.max(0, ...crossings)
  const lost = figures.filter(({ evidence }) => evidence.acknowledgedMissingCount > 0)
  return [
    ...(roundTripMillis > 0 && slowest > 1.5 * roundTripMillis
      ? [
          `This machine was busy: a crossing of ${roundTripMillis} ms took ${millisText(slowest)} on average. ` +
            "Everything behind round trips looks worse than it is."
        ]
      : []),
    ...(disk === "slow" ? [diskText[database]] : []),
    ...(hasForeignLock ? [`Another process ${foreignText[database]} now and then, for up to 1.5 s.`] : []),
    ...lost.map(({ evidence, strategy }) => `${strategy} LOST ${evidence.acknowledgedMissingCount} registrations.`)
  ]
}
