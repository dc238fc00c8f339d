/** What crosses the border between the event loop and the thread of a connection: plain data only. */
import type { CheckpointMode, CheckpointResult } from "../writer/SqliteConnection.ts"
import type { Durability } from "../writer/Durability.ts"
import type { Statement } from "../writer/Write.ts"
import type { Fault } from "./engineFault.ts"
import type { OpenFiles } from "./fileWatch.ts"
import type { Answer, EngineOptions } from "./sqliteEngine.ts"

export type Request =
  | { readonly _tag: "Open"; readonly options: EngineOptions }
  | {
      readonly _tag: "Run"
      readonly group: ReadonlyArray<ReadonlyArray<Statement>>
      readonly durability: Durability
    }
  | { readonly _tag: "Checkpoint"; readonly mode: CheckpointMode }

export type Reply = OpenFiles | ReadonlyArray<Answer> | CheckpointResult | Fault
