import type { Lane } from "../Lane.ts"
import type { EngineFault } from "../SqliteConnection.ts"
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
import { isBusyCode } from "./resultCode.ts"

/** What the writer knows of the attempt that failed. */
export interface Attempt {
  readonly lane: Lane
  readonly attempts: number
  readonly heldMillis: number
}

/** Tells a busy database from any other failure of a host's own client, however deep the driver's error is wrapped. */
export const isBusyFailure = (error: unknown, depth = 4): boolean => {
  if (typeof error !== "object" || error === null || depth === 0) return false
  if ("code" in error && typeof error.code === "string" && isBusyCode(error.code)) return true
  return "cause" in error && isBusyFailure(error.cause, depth - 1)
}

/**
 * The typed failure for the answer of the engine. Result codes:
 * https://sqlite.org/rescode.html
 */
export const toWriterError = (fault: EngineFault, { attempts, heldMillis, lane }: Attempt): WriterError => {
  const { code, conflict, detail, phase } = fault
  const engine = { lane, code, detail }
  if (conflict !== undefined) return new WriteConflict({ lane, ...conflict })
  if (code === "LOST") {
    return phase === "queued"
      ? new ConnectionLost({ lane, detail })
      : new WriteUnconfirmed({ lane, reason: "connection-lost", heldMillis })
  }
  if (code === "GONE") return new ConnectionGone({ lane, detail })
  if (isBusyCode(code)) return new DatabaseBusy({ lane, code, attempts })
  if (code === "MOVED" || code === "SQLITE_READONLY_DBMOVED") {
    return new DatabaseMoved({ lane, detail, written: code === "MOVED" && phase === "commit" ? "unknown" : "nothing" })
  }
  if (/^(SQLITE_FULL|RESERVE)/.test(code)) return new DatabaseFull(engine)
  if (/^SQLITE_(READONLY|CANTOPEN|PERM)/.test(code)) return new DatabaseReadonly(engine)
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return new DatabaseCorrupt(engine)
  if (/^(SQLITE_(IOERR|NOMEM|INTERRUPT|INTERNAL|NOLFS)|STAT)/.test(code)) {
    return new DatabaseIo({ ...engine, written: phase === "commit" ? "unknown" : "nothing" })
  }
  return new WriteRejected(engine)
}
