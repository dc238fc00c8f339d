/** The report for a terminal of 80 columns: the answer, tables, a picture, details, and the answer again. */
import Table from "cli-table3"
import { Help } from "commander"
import type { Figures } from "./Figures.ts"
import type { LabOptions } from "./Options.ts"
import * as RangeChart from "./RangeChart.ts"
import * as Scenario from "./Scenario.ts"
import { entryOf, strategyNames } from "./strategies/Catalogue.ts"
import * as Verdict from "./Verdict.ts"

const { millisText, shareText } = Verdict
const { medianMark, slowestMark } = RangeChart

/** What every terminal has. */
export const columnCount = 80

/** Between a number and its unit no line ends. No text has this character. */
const unbroken = "\ue000"

/** Lines of at most 80 columns, all but the first indented, which begins with something as wide as the indent. */
const wrapped = (text: string, indent = "", begin = ""): string =>
  begin +
  new Help()
    .boxWrap(text.replace(/(\d) (?=(?:s|ms|%)\b|%)/g, `$1${unbroken}`), columnCount - indent.length)
    .replaceAll(unbroken, " ")
    .replaceAll("\n", `\n${indent}`)

interface Column {
  readonly heading: string
  readonly of: (run: Figures) => string
}

const p99Text = ({ registration }: Figures): string =>
  registration.p99Millis === undefined ? "-" : millisText(registration.p99Millis)

const waits: ReadonlyArray<Column> = [
  { heading: "p50", of: ({ registration }) => millisText(registration.p50Millis) },
  { heading: "p99", of: p99Text },
  { heading: "max", of: ({ registration }) => millisText(registration.maxMillis) },
  { heading: "missed", of: ({ registration }) => `${registration.missedCount}/${registration.count}` },
  {
    heading: "loop gap",
    of: ({ loopGapMaxMillis }) => (loopGapMaxMillis === undefined ? "-" : millisText(loopGapMaxMillis))
  }
]

const flushes: ReadonlyArray<Column> = [
  { heading: "p50", of: ({ flush }) => millisText(flush.p50Millis) },
  { heading: "max", of: ({ flush }) => millisText(flush.maxMillis) },
  { heading: "last", of: ({ flush }) => Verdict.flushedText(flush) },
  { heading: "empty", of: ({ flush }) => shareText(flush.emptyCount / Math.max(1, flush.count)) },
  { heading: "held", of: ({ heldShare }) => shareText(heldShare) }
]

const noLines = Object.fromEntries(
  ["top", "bottom", "left", "right", "mid"].flatMap((side) =>
    ["", "-mid", "-left", "-right"].map((corner) => [`${side}${corner}`, ""])
  )
)

const tableOf = (figures: ReadonlyArray<Figures>, columns: ReadonlyArray<Column>): string => {
  const table = new Table({
    head: ["strategy", ...columns.map(({ heading }) => heading)],
    chars: { ...noLines, middle: "  " },
    colAligns: ["left", ...columns.map(() => "right" as const)],
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 }
  })
  for (const run of figures) table.push([run.strategy, ...columns.map(({ of }) => of(run))])
  return table.toString()
}

/** The tables and the picture of the runs with the same number of sessions. */
const figuresOf = (all: ReadonlyArray<Figures>, size: number): string => {
  const figures = all.filter(({ sessionCount }) => sessionCount === size)
  // A column of nothing but dashes says nothing.
  const shown = waits.filter(({ of }) => figures.some((run) => of(run) !== "-"))
  return [
    `${size} sessions: how long a machine waits to be registered`,
    tableOf(figures, shown),
    `${size} sessions: flushes`,
    tableOf(figures, flushes),
    `${size} sessions: waits from the median ${medianMark} to the slowest ${slowestMark}, tenfold per step`,
    RangeChart.make(figures, columnCount)
  ]
    .map((part) => (part.includes("\n") ? part : wrapped(part)))
    .join("\n\n")
}

const setting = ({ isVirtual, scenarios: [scenario], serverName = "PostgreSQL" }: LabOptions): string => {
  const { connections, database, flushIntervalMillis, roundTripMillis, rows, seconds, seed } = scenario
  const where = database === "postgres" ? `${serverName}, ${connections} connections for each strategy; ` : ""
  return (
    `${where}${seconds} s of arrivals in ${isVirtual ? "virtual" : "real"} time, seed ${seed}; a tick every ` +
    `${flushIntervalMillis} ms, rows ${rows}; ${roundTripMillis} ms a crossing, ` +
    `engine time-out ${Scenario.engineTimeoutMillis / 1_000} s, ` +
    `daemon limit ${Scenario.daemonLimitMillis / 1_000} s. ` +
    `Besides the sessions, ${Scenario.machineCount} machines beat.`
  )
}

export const legend: ReadonlyArray<readonly [heading: string, meaning: string]> = [
  [
    "p50, p99, max",
    "from the moment a machine came to its registration; one that waits in vain counts with 10 s; " +
      "p99 from 100 machines on"
  ],
  ["missed", "machines that were not registered before their daemon gave up, after 10 s"],
  ["loop gap", "longest time in which the server could do nothing else at all"],
  ["flush p50, max", "from the tick to its last row"],
  ["last", "rows written by the last flush that ended, as the log of the incident put it"],
  ["empty", "flushes that wrote none of their rows, of all"],
  ["held", "share of the time in which the write lock or the permit was held; of several connections, the mean"]
]

const termed = (term: string, meaning: string): string => {
  const indent = " ".repeat(17)
  return wrapped(meaning, indent, `  ${term}`.padEnd(indent.length))
}

/** `plots`: where they are. It stands before the answer, so that the answer is the last line. */
export const make = (figures: ReadonlyArray<Figures>, options: LabOptions, plots: string): string => {
  const [scenario] = options.scenarios
  const present = strategyNames.filter((name) => figures.some(({ strategy }) => strategy === name))
  const sizes = [...new Set(figures.map(({ sessionCount }) => sessionCount))]
  const headline = wrapped(Verdict.headline(figures))
  return [
    headline,
    ...Verdict.caveats(figures, scenario).map((caveat) => wrapped(caveat, "  ", "! ")),
    ...sizes.map((size) => figuresOf(figures, size)),
    legend.map(([heading, meaning]) => termed(heading, meaning)).join("\n"),
    figures.map((run) => wrapped(Verdict.sentence(run), "  ", "- ")).join("\n"),
    present.map((name) => wrapped(entryOf(name, scenario.database).meaning, "    ", `  ${name}\n    `)).join("\n"),
    wrapped(setting(options)),
    plots,
    headline
  ].join("\n\n")
}
