/** The incident: one update per row. */
import { Effect } from "effect"
import type { Engine } from "../engines/Engine.ts"
import type { Scenario } from "../Scenario.ts"
import type { Flush } from "./FlushLoop.ts"

export const flush =
  (engine: Engine, { rows: order }: Pick<Scenario, "rows">): Flush =>
  (rows) =>
    Effect.forEach(rows, (row) => Effect.isSuccess(engine.updateRow(row)), {
      concurrency: order === "together" ? "unbounded" : 1
    }).pipe(Effect.map((written) => written.filter(Boolean).length))
