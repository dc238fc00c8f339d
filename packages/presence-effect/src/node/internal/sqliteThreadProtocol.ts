/** What crosses the border between the event loop and the thread of a connection: plain data only. */
import type {
  CheckpointMode,
  CheckpointResult,
  Compacted as Result,
  Fault,
  WriteAnswer
} from "../../writer/SqliteConnection.ts"
import type { Durability } from "../../writer/Durability.ts"
import type { Statement } from "../../writer/Write.ts"
import type { EngineOptions } from "./connectionState.ts"
import type { OpenFiles } from "./fileWatch.ts"

/** What a thread is started for. */
export interface Start {
  readonly role: "writer" | "copier"
}

/** Of `workerData`: a thread that is told nothing writes. */
export const isCopier = (start: unknown): boolean =>
  typeof start === "object" && start !== null && "role" in start && start.role === "copier"

export type Request =
  | { readonly _tag: "Open"; readonly options: EngineOptions }
  | {
      readonly _tag: "Run"
      readonly group: ReadonlyArray<ReadonlyArray<Statement>>
      readonly durability: Durability
    }
  | { readonly _tag: "Checkpoint"; readonly mode: CheckpointMode }
  | { readonly _tag: "Compact"; readonly pageLimit: number }

export interface Failed {
  readonly _tag: "Failed"
  readonly fault: Fault
}

export interface Opened {
  readonly _tag: "Opened"
  readonly files: OpenFiles
}

export interface Answered {
  readonly _tag: "Answered"
  readonly answers: ReadonlyArray<WriteAnswer>
}

export interface Checkpointed {
  readonly _tag: "Checkpointed"
  readonly result: CheckpointResult
}

export interface Compacted {
  readonly _tag: "Compacted"
  readonly result: Result
}

export type Reply = Opened | Answered | Checkpointed | Compacted | Failed

export const failed = (fault: Fault): Failed => ({ _tag: "Failed", fault })
