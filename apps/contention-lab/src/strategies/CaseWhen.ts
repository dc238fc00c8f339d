/** The second remedy: one literal `CASE id WHEN ? THEN ?` for all rows of a table. */
import { Effect } from "effect"
import type { Engine } from "../engines/Engine.ts"
import type { Scenario } from "../Scenario.ts"
import * as Statements from "../Statements.ts"
import type { Flush } from "./FlushLoop.ts"

export const flush =
  (engine: Engine, { database }: Pick<Scenario, "database">): Flush =>
  (rows) =>
    Effect.match(engine.transaction(Statements.caseWhen(rows, database)), {
      onFailure: () => 0,
      onSuccess: () => rows.length
    })
