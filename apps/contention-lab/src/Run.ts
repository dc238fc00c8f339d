/** What everything inside one run shares. */
import type { Meter } from "./Meter.ts"
import type { Scenario } from "./Scenario.ts"

export interface Run {
  readonly scenario: Scenario
  readonly meter: Meter
  /** Milliseconds since the load began; zero until then. */
  readonly elapsedMillis: () => number
}
