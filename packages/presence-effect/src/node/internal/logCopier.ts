/** What the thread that copies the log can do: look at the file, and move the log into it. It writes nothing else. */
import type { CheckpointMode } from "../../writer/SqliteConnection.ts"
import type { EngineOptions } from "./connectionState.ts"
import * as CopierConnection from "./copierConnection.ts"
import type { OpenFiles } from "./fileWatch.ts"
import { GuardedConnection } from "./guardedConnection.ts"
import { opened, orFailed } from "./refusal.ts"
import { type Checkpointed, type Compacted, type Failed, failed } from "./sqliteThreadProtocol.ts"

const noWrites = (): Failed =>
  failed({
    reason: "Rejected",
    code: "SQLITE_MISUSE",
    detail: "the connection that copies the log writes nothing",
    phase: "queued"
  })

export class LogCopier {
  private readonly connection: GuardedConnection

  /** Throws a `Fault`. */
  constructor(options: EngineOptions) {
    this.connection = new GuardedConnection(options, CopierConnection.open)
  }

  /** The files that are open, for whatever opens them again. */
  files(): OpenFiles {
    return this.connection.files()
  }

  run(): Failed {
    return noWrites()
  }

  /** Only says what the file holds: `pageLimit` must be 0. */
  compact(pageLimit: number): Compacted | Failed {
    if (pageLimit > 0) return noWrites()
    return orFailed(() => ({ _tag: "Compacted", result: { ...this.connection.space(), removedPages: 0 } }))
  }

  checkpoint(mode: CheckpointMode): Checkpointed | Failed {
    return orFailed(() => ({ _tag: "Checkpointed", result: this.connection.checkpoint(mode) }))
  }

  close(): void {
    this.connection.close()
  }
}

/** A copier of the log of the file, or the failure to open it. */
export const open = (options: EngineOptions): LogCopier | Failed => opened(() => new LogCopier(options))
