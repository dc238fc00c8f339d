/** What one run came to. */
import type { Evidence } from "./LabDatabase.ts"
import type { Reading } from "./Meter.ts"
import type { DatabaseKind, StrategyName } from "./strategies/Catalogue.ts"

export interface Figures extends Reading {
  readonly strategy: StrategyName
  readonly sessionCount: number
  readonly database: DatabaseKind
  /** Longest time in which the event loop of the server did nothing else. `undefined` in virtual time. */
  readonly loopGapMaxMillis: number | undefined
  readonly evidence: Evidence
}
