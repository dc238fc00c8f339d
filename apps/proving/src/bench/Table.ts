/** The results as plain text, one line each. */
import type { Judged } from "./Result.ts"
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

const verdicts: Record<Judged["verdict"], string> = { met: "yes", missed: "NO", busy: "busy" }

export const row = ({ id, note, otherShare, ours, ratio, target, theirs, unit, verdict }: Judged): string =>
  line(
    { id, ours: digits(ours), theirs: digits(theirs), unit, ratio: digits(ratio), target },
    [
      verdicts[verdict].padEnd(4),
      ...(verdict === "busy" ? [`other programs used ${Math.round(otherShare * 100)} % of the processors;`] : []),
      note ?? ""
    ].join("  ")
  )

const cells = (values: ReadonlyArray<string>): string => `| ${values.join(" | ")} |\n`

/** The table of README.md. */
export const markdown = (results: ReadonlyArray<Judged>): string =>
  cells(["", "ours", "theirs", "unit", "ratio", "target", "met"]) +
  cells(["---", "---:", "---:", "---", "---:", "---", "---"]) +
  results
    .map(({ id, ours, ratio, target, theirs, unit, verdict }) =>
      cells([id, digits(ours), digits(theirs), unit, digits(ratio), target, verdicts[verdict]])
    )
    .join("")
