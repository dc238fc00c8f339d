/** The messages between the lab and a strategy in its own process. */
import type { Figures } from "./Figures.ts"
import type { Scenario } from "./Scenario.ts"

export type ToStrategy =
  /** `target`: a file of SQLite, or the address of a schema. */
  { readonly _tag: "Prepare"; readonly scenario: Scenario; readonly target: string } | { readonly _tag: "Go" }

export type FromStrategy =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Done"; readonly figures: Figures }
  | { readonly _tag: "Failed"; readonly detail: string }
