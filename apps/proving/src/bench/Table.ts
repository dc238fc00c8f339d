/** The results as plain text, one line each. */
import type { Result } from "./Result.ts"
import { digits } from "./Rounds.ts"

const widths = { id: 10, ours: 10, theirs: 10, unit: 9, ratio: 8, target: 28 }

const line = (cells: { readonly [K in keyof typeof widths]: string }, rest: string): string =>
  [
    cells.id.padEnd(widths.id),
    cells.ours.padStart(widths.ours),
    cells.theirs.padStart(widths.theirs),
    cells.unit.padEnd(widths.unit),
    cells.ratio.padStart(widths.ratio),
    cells.target.padEnd(widths.target),
    rest
  ]
    .join("  ")
    .trimEnd()

export const head = line(
  { id: "id", ours: "ours", theirs: "theirs", unit: "unit", ratio: "ratio", target: "target" },
  "met"
)

export const row = ({ id, met, note, ours, ratio, target, theirs, unit }: Result): string =>
  line(
    { id, ours: digits(ours), theirs: digits(theirs), unit, ratio: digits(ratio), target },
    `${met ? "yes" : "NO"}${note === undefined ? "" : `  ${note}`}`
  )
