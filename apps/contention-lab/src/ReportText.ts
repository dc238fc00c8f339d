/** The report for a terminal: sentences, a table, a picture. */
import asciichart from "asciichart"
import Table from "cli-table3"
import type { Figures } from "./Figures.ts"
import type { LabOptions } from "./Options.ts"
import * as Scenario from "./Scenario.ts"
import { catalogue, strategyNames } from "./strategies/Catalogue.ts"
import * as Verdict from "./Verdict.ts"

const { millisText, shareText } = Verdict

const headings = [
  "strategy",
  "sessions",
  "p50",
  "p99",
  "max",
  "missed 10 s",
  "flush p50",
  "flush max",
  "last flush",
  "empty",
  "writer held",
  "loop gap max"
]

const rowOf = (run: Figures): ReadonlyArray<string> => [
  run.strategy,
  String(run.sessionCount),
  millisText(run.registration.p50Millis),
  millisText(run.registration.p99Millis),
  millisText(run.registration.maxMillis),
  `${run.registration.missedCount} of ${run.registration.count}`,
  millisText(run.flush.p50Millis),
  millisText(run.flush.maxMillis),
  `Flushed ${Verdict.flushedText(run.flush)}`,
  `${run.flush.emptyCount} of ${run.flush.count}`,
  shareText(run.heldShare),
  run.loopGapMaxMillis === undefined ? "-" : millisText(run.loopGapMaxMillis)
]

const tableOf = (figures: ReadonlyArray<Figures>): string => {
  const table = new Table({ head: headings, style: { head: [], border: [], compact: true } })
  for (const run of figures) table.push([...rowOf(run)])
  return table.toString()
}

const columnCount = 60
const colors = ["red", "magenta", "yellow", "cyan", "green"] as const
const colorOf = (index: number): string => asciichart[colors[index % colors.length] ?? "red"]

/** The slowest registration of each slice of time; a slice without one keeps the value before it. */
export const slowestPerSlice = (run: Figures, seconds: number): ReadonlyArray<number> => {
  const slices = Array.from({ length: columnCount }, () => 0)
  for (const { atMillis, tookMillis } of run.registrations) {
    const slice = Math.min(columnCount - 1, Math.floor((atMillis / (seconds * 1_000)) * columnCount))
    slices[slice] = Math.max(slices[slice] ?? 0, tookMillis)
  }
  let last = Math.max(1, ...slices.slice(0, 1))
  return slices.map((slowest) => (last = slowest > 0 ? slowest : last))
}

/** Decades, since the strategies differ by a thousand. Without colors, two lines are all an eye can tell apart. */
const chartOf = (figures: ReadonlyArray<Figures>, seconds: number, isColored: boolean): string => {
  const [first, ...others] = figures
  const shown = isColored ? figures : [first, others.at(-1)].filter((run) => run !== undefined)
  const series = shown.map((run) => slowestPerSlice(run, seconds).map((millis) => Math.log10(Math.max(1, millis))))
  const chart = asciichart.plot(series, {
    min: 0,
    max: 4,
    height: 12,
    ...(isColored ? { colors: shown.map((_, index) => colorOf(index)) } : {}),
    format: (decade) => millisText(10 ** decade).padStart(8)
  })
  const legend = shown.map(({ strategy }, index) =>
    isColored
      ? `${colorOf(index)}──\u001b[0m ${strategy}`
      : `${index === 0 ? "first" : "last"} of the table: ${strategy}`
  )
  return [chart, `${" ".repeat(9)}0 s${`${seconds} s`.padStart(columnCount - 2)}`, ...legend].join("\n")
}

const chartsOf = (figures: ReadonlyArray<Figures>, seconds: number, isColored: boolean): ReadonlyArray<string> =>
  [...new Set(figures.map(({ sessionCount }) => sessionCount))].flatMap((size) =>
    [true, false].flatMap((isAway) => {
      const shown = figures.filter(
        ({ sessionCount, strategy }) =>
          sessionCount === size && (catalogue[strategy].place === "behind round trips") === isAway
      )
      if (shown.length === 0) return []
      const where = isAway ? "behind round trips" : "in this process"
      return [
        `Waiting to be registered, by the time of arrival: ${size} sessions, engines ${where}\n` +
          `(10 s: the daemon gives up)\n${chartOf(shown, seconds, isColored)}`
      ]
    })
  )

const setting = ({ isVirtual, scenarios: [scenario] }: LabOptions): string => {
  const { flushIntervalMillis, roundTripMillis, rows, seconds, seed } = scenario
  return (
    `${seconds} s of arrivals in ${isVirtual ? "virtual" : "real"} time, seed ${seed}; a tick every ` +
    `${flushIntervalMillis} ms, rows ${rows}; ${roundTripMillis} ms a crossing, ` +
    `engine time-out ${Scenario.engineTimeoutMillis / 1_000} s, ` +
    `daemon limit ${Scenario.daemonLimitMillis / 1_000} s. ` +
    `Besides the sessions, ${Scenario.machineCount} machines beat.`
  )
}

export const legend: ReadonlyArray<readonly [heading: string, meaning: string]> = [
  ["p50, p99, max", "from the moment a machine came to its registration; one that waits in vain counts with 10 s"],
  ["missed 10 s", "machines that were not registered before their daemon gave up"],
  ["flush p50, max", "from the tick to its last row"],
  ["last flush", "rows written by the last flush that ended, as the log of the incident put it"],
  ["empty", "flushes that wrote none of their rows"],
  ["writer held", "share of the time in which somebody held the write lock, or the permit"],
  ["loop gap max", "longest time in which the server could do nothing else at all"]
]

export const make = (figures: ReadonlyArray<Figures>, options: LabOptions, isColored: boolean): string => {
  const [scenario] = options.scenarios
  const present = strategyNames.filter((name) => figures.some(({ strategy }) => strategy === name))
  return [
    setting(options),
    figures.map((run) => `- ${Verdict.sentence(run)}`).join("\n"),
    ...Verdict.caveats(figures, scenario).map((caveat) => `! ${caveat}`),
    tableOf(figures),
    legend.map(([heading, meaning]) => `  ${heading.padEnd(15)} ${meaning}`).join("\n"),
    ...chartsOf(figures, scenario.seconds, isColored),
    present.map((name) => `  ${name.padEnd(34)} ${catalogue[name].meaning}`).join("\n")
  ].join("\n\n")
}
