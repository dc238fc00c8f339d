/** The figures for programs. */
import type { Figures } from "./Figures.ts"
import type { LabOptions } from "./Options.ts"
import type { Scenario } from "./Scenario.ts"
import * as Verdict from "./Verdict.ts"

export interface JsonReport {
  /** What all runs have in common. */
  readonly scenario: Omit<Scenario, "strategy" | "sessionCount">
  readonly isVirtual: boolean
  /** Version and place of a database server. */
  readonly server?: string
  readonly runs: ReadonlyArray<Omit<Figures, "registrations" | "flushes"> & { readonly verdict: Verdict.Verdict }>
}

export const make = (figures: ReadonlyArray<Figures>, { isVirtual, scenarios, serverName }: LabOptions): JsonReport => {
  const { sessionCount: _size, strategy: _strategy, ...scenario } = scenarios[0]
  return {
    scenario,
    isVirtual,
    ...(serverName === undefined ? {} : { server: serverName }),
    runs: figures.map(({ flushes: _flushes, registrations: _registrations, ...run }) => ({
      ...run,
      verdict: Verdict.of(run)
    }))
  }
}
