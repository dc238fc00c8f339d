import type { Lane } from "../Lane.ts"
import type { Fault } from "../SqliteConnection.ts"
import {
  ConnectionGone,
  ConnectionLost,
  DatabaseBusy,
  DatabaseCorrupt,
  DatabaseFull,
  DatabaseIo,
  DatabaseMoved,
  DatabaseReadonly,
  WriteConflict,
  type WriterError,
  WriteRejected,
  WriteUnconfirmed
} from "../WriterError.ts"

/** The writer's data of the failed attempt. */
export interface Attempt {
  readonly lane: Lane
  readonly attempts: number
  readonly heldMillis: number
}

/** The typed failure for a fault of the engine. */
export const toWriterError = (fault: Fault, { attempts, heldMillis, lane }: Attempt): WriterError => {
  const { code, detail, phase } = fault
  const engine = { lane, code, detail }
  const atCommit = phase === "commit" ? "unknown" : "nothing"
  switch (fault.reason) {
    case "Busy":
      return new DatabaseBusy({ lane, code, attempts })
    case "Full":
      return new DatabaseFull(engine)
    case "Readonly":
      return new DatabaseReadonly(engine)
    case "Corrupt":
      return new DatabaseCorrupt(engine)
    case "Moved":
      return new DatabaseMoved({ lane, detail, written: atCommit })
    case "InputOutput":
    case "System":
      return new DatabaseIo({ ...engine, written: atCommit })
    case "Lost":
      return phase === "queued"
        ? new ConnectionLost({ lane, detail })
        : new WriteUnconfirmed({ lane, reason: "connection-lost", heldMillis })
    case "Gone":
      return new ConnectionGone({ lane, detail })
    case "Conflict":
      return fault.conflict === undefined ? new WriteRejected(engine) : new WriteConflict({ lane, ...fault.conflict })
    case "Rejected":
    case "Unknown":
      return new WriteRejected(engine)
  }
}
