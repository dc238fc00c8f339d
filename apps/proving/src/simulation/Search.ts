/** Runs one seed after the other until one breaks a guarantee. */
import { setImmediate } from "node:timers/promises"
import * as Coverage from "./Coverage.ts"
import type { SimulatedFile } from "./SimulatedFile.ts"
import * as Simulation from "./Simulation.ts"

export interface Found {
  /** Seeds that were run, the broken one included. */
  readonly seedCount: number
  readonly broken: Simulation.Outcome | undefined
  readonly coverage: Coverage.Coverage
  readonly lineCount: number
}

/** Seeds are 32 bits: after the last comes the first. */
const after = (from: number, index: number): number => (from + index) % 2 ** 32

export const run = async (file: SimulatedFile, from: number, count: number): Promise<Found> => {
  const coverage: Coverage.Coverage = new Map()
  let lineCount = 0
  for (let index = 0; index < count; index++) {
    const outcome = Simulation.run(after(from, index), file)
    Coverage.add(coverage, outcome.coverage)
    lineCount += outcome.lineCount
    if (outcome.violation !== undefined) return { seedCount: index + 1, broken: outcome, coverage, lineCount }
    // Yields, so that signals can stop the search.
    await setImmediate()
  }
  return { seedCount: count, broken: undefined, coverage, lineCount }
}
