/** How the ticks of a strategy that is not this project are written. */
import type { Engine } from "../engines/Engine.ts"
import type { Scenario } from "../Scenario.ts"
import * as CaseWhen from "./CaseWhen.ts"
import type { Entry } from "./Catalogue.ts"
import type { Flush } from "./FlushLoop.ts"
import * as OneTransaction from "./OneTransaction.ts"
import * as PerRow from "./PerRow.ts"

export const of = (shape: Entry["shape"], engine: Engine, scenario: Scenario): Flush => {
  if (shape === "per-row") return PerRow.flush(engine, scenario)
  return shape === "one-transaction" ? OneTransaction.flush(engine) : CaseWhen.flush(engine, scenario)
}
