/** F27: more rows than there is room for. */
import { Effect } from "effect"
import { fileURLToPath } from "node:url"
import * as Observe from "../Observe.ts"
import type { Scenario } from "../Scenario.ts"
import * as Mount from "../support/Mount.ts"
import { tsx } from "../../drivers/Tsx.ts"

const entry = fileURLToPath(new URL("../support/registryEntry.ts", import.meta.url))

interface Report {
  readonly sizes: ReadonlyArray<{ readonly tracked: number; readonly bytes: number }>
  readonly beyond: string
  readonly tracked: number
}

export const F27Memory: Scenario = {
  id: "F27",
  title: "as many rows as may be tracked, and one more",
  injected: "200000 rows (long: a million, the server's limit) beat, in the server's registry in a process of its own",
  promises: ["P9"],
  needs: [],
  isQuick: true,
  within: "60 seconds",
  withinLong: "3 minutes",
  run: ({ isLong }) =>
    Effect.gen(function* () {
      const count = isLong ? 1_000_000 : 200_000
      const args = [
        "--expose-gc",
        "--conditions=presence-effect-source",
        "--import",
        tsx,
        entry,
        String(count),
        String(count / 4)
      ]
      const { beyond, sizes, tracked } = JSON.parse(yield* Mount.command(process.execPath, ...args)) as Report
      const [, first, , , last] = sizes
      const perRow = ((last?.bytes ?? NaN) - (first?.bytes ?? NaN)) / ((last?.tracked ?? 0) - (first?.tracked ?? 0))
      return [
        Observe.figure("memory of the whole process", `${Math.round((last?.bytes ?? 0) / 2 ** 20)} MiB`),
        Observe.atMost("memory of a row", perRow, 512, "bytes"),
        Observe.equal("answer to one row more", beyond, "full"),
        Observe.equal("rows that are tracked", tracked, count)
      ]
    })
}
