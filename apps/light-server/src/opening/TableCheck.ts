/**
 * The check of a file for damage, table by table, in the thread that calls it.
 *
 * Nothing of Effect is imported: each import is loaded again by the thread that starts.
 */
import Sqlite from "better-sqlite3"

export interface Request {
  readonly filename: string
  /** No further table is begun after so long. 0: no table is checked. */
  readonly budgetMillis: number
  /** Longest wait of one statement for a lock of another process. */
  readonly waitLimitMillis: number
}

/** What the check found: plain values, since they are copied from thread to thread. */
export type Verdict =
  | { readonly _tag: "Checked"; readonly tableCount: number; readonly skippedCount: number }
  | { readonly _tag: "Damaged"; readonly reason: string }
  /** The driver failed, with its own name for the failure. */
  | { readonly _tag: "Failed"; readonly code: string; readonly reason: string }

const selectTables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0 ORDER BY rowid"

const check = (sqlite: Sqlite.Database, budgetMillis: number): Verdict => {
  const tables = sqlite.prepare<[], string>(selectTables).pluck().all()
  const startedAt = performance.now()
  for (const [index, table] of tables.entries()) {
    if (performance.now() - startedAt >= budgetMillis) {
      return { _tag: "Checked", tableCount: tables.length, skippedCount: tables.length - index }
    }
    const answer = String(sqlite.pragma(`quick_check("${table.replaceAll(`"`, `""`)}")`, { simple: true }))
    if (answer !== "ok") return { _tag: "Damaged", reason: answer.split("\n")[0] ?? "" }
  }
  return { _tag: "Checked", tableCount: tables.length, skippedCount: 0 }
}

/** Checks a file that exists. It is only read. Never throws. */
export const run = ({ budgetMillis, filename, waitLimitMillis }: Request): Verdict => {
  let sqlite: Sqlite.Database | undefined
  try {
    sqlite = new Sqlite(filename, { readonly: true, fileMustExist: true, timeout: waitLimitMillis })
    return check(sqlite, budgetMillis)
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown"
    return { _tag: "Failed", code, reason: cause instanceof Error ? cause.message : String(cause) }
  } finally {
    sqlite?.close()
  }
}
