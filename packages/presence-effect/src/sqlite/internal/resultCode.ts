/**
 * What SQLite's result codes mean in the terms of the port: only this module interprets them.
 *
 * **Source**: https://sqlite.org/rescode.html
 *
 * It imports types only, because the thread of the connection loads it.
 */
import type { Fault, FaultReason } from "../../writer/SqliteConnection.ts"

/** The first that fits. Words without `SQLITE_` are the library's own, for what SQLite has no code for. */
const meanings: ReadonlyArray<readonly [code: RegExp, reason: FaultReason]> = [
  [/^SQLITE_(BUSY|LOCKED|PROTOCOL)/, "Busy"],
  [/^(SQLITE_READONLY_DBMOVED|MOVED)$/, "Moved"],
  [/^(SQLITE_FULL|RESERVE)/, "Full"],
  [/^SQLITE_(READONLY|CANTOPEN|PERM)/, "Readonly"],
  [/^SQLITE_(CORRUPT|NOTADB)/, "Corrupt"],
  [/^SQLITE_IOERR/, "InputOutput"],
  [/^(SQLITE_(NOMEM|INTERRUPT|INTERNAL|NOLFS)|STAT$)/, "System"],
  [/^(SQLITE_ERROR$|SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG|MISUSE|AUTH))/, "Rejected"],
  [/^CONFLICT$/, "Conflict"],
  [/^LOST$/, "Lost"],
  [/^GONE$/, "Gone"]
]

export const reasonOf = (code: string): FaultReason => meanings.find(([known]) => known.test(code))?.[1] ?? "Unknown"

/** The fault for a code. `conflict` is a reason by itself. */
export const faultOfCode = (given: Omit<Fault, "reason">): Fault => ({
  ...given,
  reason: given.conflict === undefined ? reasonOf(given.code) : "Conflict",
  // SQLite looks before it writes into a file that was moved; the library's own `MOVED` may be seen after the commit.
  phase: given.code === "SQLITE_READONLY_DBMOVED" && given.phase === "commit" ? "statement" : given.phase
})

export const isFault = (cause: unknown): cause is Fault =>
  typeof cause === "object" && cause !== null && "reason" in cause && "phase" in cause

export const codeOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" ? code : "SQLITE_ERROR"
}

/** The fault for what the driver threw. A connection that cannot be opened again throws a fault already. */
export const faultOf = (cause: unknown, phase: Fault["phase"]): Fault =>
  isFault(cause)
    ? { ...cause, phase }
    : faultOfCode({ code: codeOf(cause), detail: cause instanceof Error ? cause.message : String(cause), phase })

/** Where clients keep the driver's code, and the errors that they wrap: Prisma has its own of both. */
const codeFields = ["code", "originalCode"]
const innerFields = ["cause", "meta", "driverAdapterError"]

/** Whether a host's own client met a busy database, however deep the driver's error is wrapped. */
export const isBusyFailure = (error: unknown, depth = 5): boolean => {
  if (typeof error !== "object" || error === null || depth === 0) return false
  const read = (name: string): unknown => (name in error ? Reflect.get(error, name) : undefined)
  return (
    codeFields.some((name) => {
      const code = read(name)
      return typeof code === "string" && reasonOf(code) === "Busy"
    }) || innerFields.some((name) => isBusyFailure(read(name), depth - 1))
  )
}
