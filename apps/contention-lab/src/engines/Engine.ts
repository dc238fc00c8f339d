/** What the strategies that are not this project need of a database. */
import { Data, type Effect } from "effect"
import type { Statement } from "presence-effect/writer/Write"
import type { DirtyRow } from "../Statements.ts"

/**
 * Nothing was answered in time, or the answer was an error. It may be written nevertheless. No `Error`: they come
 * by the hundred thousand here, and a stack costs more than what failed.
 */
export class EngineFailed extends Data.TaggedClass("EngineFailed")<{ readonly detail: string }> {}

export interface Engine {
  /** All statements in one transaction. */
  readonly transaction: (statements: ReadonlyArray<Statement>) => Effect.Effect<void, EngineFailed>
  /** One row, on its own. */
  readonly updateRow: (row: DirtyRow) => Effect.Effect<void, EngineFailed>
  /** One statement per row, in one transaction. */
  readonly updateRows: (rows: ReadonlyArray<DirtyRow>) => Effect.Effect<void, EngineFailed>
}
