/** The figures for programs. */
import type { Figures } from "./Figures.ts"
import type { LabOptions } from "./Options.ts"
import type { Scenario } from "./Scenario.ts"
import * as Verdict from "./Verdict.ts"

export interface JsonReport {
  /** What all runs have in common. */
  readonly scenario: Omit<Scenario, "strategy" | "sessionCount">
  readonly isVirtual: boolean
  readonly runs: ReadonlyArray<Omit<Figures, "registrations" | "flushes"> & { readonly verdict: Verdict.Verdict }>
}

export const make = (figures: ReadonlyArray<Figures>, { isVirtual, scenarios }: LabOptions): JsonReport => {
  const { sessionCount: _size, strategy: _strategy, ...scenario } = scenarios[0]
  return {
    scenario,
    isVirtual,
    runs: figures.map(({ flushes: _flushes, registrations: _registrations, ...run }) => ({
      ...run,
      verdict: Verdict.of(run)
    }))
  }
}
