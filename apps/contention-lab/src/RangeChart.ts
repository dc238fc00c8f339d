/** One line per strategy, from the median to the slowest registration, on a scale of decades. */
import type { Figures } from "./Figures.ts"
import * as Scenario from "./Scenario.ts"

export const medianMark = "o"
export const slowestMark = ">"

/** One that was not registered. */
const missedMark = "X"

const firstMillis = 0.1
const lastMillis = Scenario.daemonLimitMillis
const decades = [
  [0.1, "0.1"],
  [1, "1 ms"],
  [10, "10 ms"],
  [100, "100 ms"],
  [1_000, "1 s"],
  [10_000, "10 s"]
] as const

const placeOf = (millis: number, width: number): number => {
  const share = Math.log10(millis / firstMillis) / Math.log10(lastMillis / firstMillis)
  return Math.round(Math.min(1, Math.max(0, share)) * (width - 1))
}

const lineOf = ({ registration }: Figures, width: number): string => {
  const from = placeOf(registration.p50Millis, width)
  const to = placeOf(registration.maxMillis, width)
  const end = registration.missedCount > 0 ? missedMark : slowestMark
  // Where both are in one place, the slowest is what counts.
  if (from === to) return `${" ".repeat(to)}${end}`
  return `${" ".repeat(from)}${medianMark}${"-".repeat(to - from - 1)}${end}`
}

/** Labels of the decades, each ending above its place. */
const scaleOf = (width: number): string =>
  decades.reduce((line, [millis, label]) => line + label.padStart(placeOf(millis, width) + 1 - line.length), "")

/** Fits `columnCount` columns. Names stand beside the lines, so no color is needed. */
export const make = (figures: ReadonlyArray<Figures>, columnCount: number): string => {
  const nameWidth = Math.max(...figures.map(({ strategy }) => strategy.length))
  const width = columnCount - nameWidth - 2
  return [
    `${" ".repeat(nameWidth + 2)}${scaleOf(width)}`,
    ...figures.map((run) => `${run.strategy.padEnd(nameWidth)}  ${lineOf(run, width)}`.trimEnd()),
    ...(figures.some(({ registration }) => registration.missedCount > 0)
      ? [`${missedMark}: a machine was given up, after 10 s`]
      : [])
  ].join("\n")
}
