/**
 * The report as one file: style, script, plots and figures are inside, and nothing is fetched, which the page also
 * tells the browser. The parts it is made of lie in `page/`, as a browser reads them.
 */
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import type { Figures } from "./Figures.ts"
import type { LabOptions } from "./Options.ts"
import * as ReportJson from "./ReportJson.ts"
import * as ReportText from "./ReportText.ts"
import * as Scenario from "./Scenario.ts"
import { entryOf, strategyNames } from "./strategies/Catalogue.ts"
import * as Verdict from "./Verdict.ts"

const page = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../page/" : "../../page/", import.meta.url))
const require = createRequire(import.meta.url)

const partOf = (name: string): string => fs.readFileSync(`${page}${name}`, "utf8")
const uplotPart = (name: string): string => fs.readFileSync(require.resolve(`uplot/dist/${name}`), "utf8")

const pointMax = 2_000

/** Evenly thinned, the slowest of each handful kept: what is left out is never the worst. */
const thinned = <A extends { readonly tookMillis: number }>(points: ReadonlyArray<A>): ReadonlyArray<A> => {
  const step = Math.ceil(points.length / pointMax)
  if (step <= 1) return points
  return Array.from({ length: Math.ceil(points.length / step) }, (_, index) =>
    points
      .slice(index * step, (index + 1) * step)
      .reduce((slowest, point) => (point.tookMillis > slowest.tookMillis ? point : slowest))
  )
}

/** Numbers as short as the eye needs them. */
const rounded = (millis: number): number => Math.round(millis * 100) / 100

const dataOf = (figures: ReadonlyArray<Figures>, options: LabOptions) => ({
  report: ReportJson.make(figures, options),
  limitMillis: Scenario.daemonLimitMillis,
  machineCount: Scenario.machineCount,
  strategies: strategyNames
    .filter((name) => figures.some(({ strategy }) => strategy === name))
    .map((name) => {
      const { meaning, place } = entryOf(name, options.scenarios[0].database)
      return { name, place, meaning }
    }),
  headline: Verdict.headline(figures),
  sentences: figures.map((run) => Verdict.sentence(run)),
  caveats: Verdict.caveats(figures, options.scenarios[0]),
  legend: ReportText.legend,
  points: figures.map(({ flushes, registrations, sessionCount, strategy }) => ({
    strategy,
    sessionCount,
    registrations: thinned(registrations).map(({ atMillis, isAnswered, tookMillis }) => [
      rounded(atMillis),
      rounded(tookMillis),
      isAnswered ? 1 : 0
    ]),
    flushes: thinned(flushes).map(({ atMillis, rowCount, tookMillis, writtenCount }) => [
      rounded(atMillis),
      rounded(tookMillis),
      writtenCount,
      rowCount
    ])
  }))
})

/** `<` would end the script element it stands in. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll("<", "\\u003c")

/** A function as the replacement, since `$&` and its like mean something in a string. */
const filled = (template: string, parts: Readonly<Record<string, string>>): string =>
  template.replace(/\/\*\{(\w+)\}\*\//g, (_, name: string) => parts[name] ?? "")

export const make = (figures: ReadonlyArray<Figures>, options: LabOptions): string =>
  filled(partOf("report.html"), {
    uplotStyle: uplotPart("uPlot.min.css"),
    style: partOf("report.css"),
    data: embedded(dataOf(figures, options)),
    uplot: uplotPart("uPlot.iife.min.js"),
    script: partOf("report.js")
  })
