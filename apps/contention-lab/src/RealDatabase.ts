/** The database of one run outside of this process. */
import type { Effect, Scope } from "effect"
import type { Evidence } from "./LabDatabase.ts"
import type { Run } from "./Run.ts"
import type { Strategy } from "./strategies/Strategy.ts"
import type { Workload } from "./Workload.ts"

export interface RealDatabase {
  /** Makes tables and rows. Called once, before the strategy is built. */
  readonly prepare: (workload: Workload, nowMillis: number) => Effect.Effect<void, unknown>
  readonly strategy: (run: Run) => Effect.Effect<Strategy, unknown, Scope.Scope>
  readonly examine: (acknowledged: ReadonlyArray<string>, nowMillis: number) => Effect.Effect<Evidence>
}
