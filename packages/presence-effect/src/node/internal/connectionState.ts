/** The one state that every connection of a writer is brought into, whatever opened it. */
import type { CheckpointMode, CheckpointResult, Space } from "../../writer/SqliteConnection.ts"
import type { Row, StatementResult } from "../../writer/Write.ts"
import type { OpenFiles } from "./fileWatch.ts"

export interface Options {
  readonly filename: string
  /** Upper bound of what SQLite leaves of the log file after it was emptied, in bytes. */
  readonly journalSizeLimitBytes: number
  /** Run on a new connection that writes, in order. */
  readonly setup: ReadonlyArray<string>
}

export interface EngineOptions extends Options {
  /** Writes are refused while less than this is free where the file is; 0: never. */
  readonly freeReserveBytes: number
  /** The files that an earlier connection had open: others in their place are refused. */
  readonly files?: OpenFiles
}

export interface OpenConnection {
  /** Throws the driver's error. */
  readonly execute: (sql: string, params: ReadonlyArray<unknown>) => StatementResult
  readonly setSafetyLevel: (level: number) => void
  readonly checkpoint: (mode: CheckpointMode) => CheckpointResult
  /** Throws the driver's error. */
  readonly space: () => Space
  readonly close: () => void
}

/** Opens the file. Throws a `Fault`. */
export type Open = (options: Options) => OpenConnection

export type Settled = Omit<OpenConnection, "close">

/** What a driver offers. Both throw its error. */
export interface Driver {
  readonly execute: OpenConnection["execute"]
  /** Never cached: some pragmas act when they are compiled, not when they are stepped. */
  readonly pragma: (text: string) => ReadonlyArray<Row>
}

/** Of one state of the file. */
const selectSpace = `SELECT page_count AS pageCount, freelist_count AS freePages, auto_vacuum AS mode
  FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum`

/** Throws the driver's error, or says which pragma was not obeyed. */
export const settle = ({ execute, pragma }: Driver, options: Options): Settled => {
  const demand = (text: string, name: string, expected: string | number): void => {
    pragma(text)
    const actual = pragma(name)[0]?.[name]
    if (actual !== expected) throw new Error(`PRAGMA ${text} left ${name} at ${String(actual)}`)
  }

  // better-sqlite3 opens with 5 s, which would wait inside a call. The writer waits instead.
  pragma("busy_timeout = 0")
  if (pragma("journal_mode")[0]?.["journal_mode"] !== "wal") demand("journal_mode = WAL", "journal_mode", "wal")
  demand("foreign_keys = ON", "foreign_keys", 1)
  demand("wal_autocheckpoint = 0", "wal_autocheckpoint", 0)
  pragma(`journal_size_limit = ${options.journalSizeLimitBytes}`)
  // An UPDATE of many rows inside a transaction keeps a copy of each page until it ends: not in a file of its own.
  demand("temp_store = MEMORY", "temp_store", 2)
  demand("synchronous = FULL", "synchronous", 2)
  let safety = 2
  const pageBytes = Number(pragma("page_size")[0]?.["page_size"])
  // A frame is one page and a header of 24 bytes: https://sqlite.org/walformat.html
  const frameBytes = pageBytes + 24

  return {
    execute,
    space: () => {
      const row = execute(selectSpace, []).rows[0]
      return {
        pageBytes,
        pageCount: Number(row?.["pageCount"]),
        freePages: Number(row?.["freePages"]),
        // 2 is INCREMENTAL: https://sqlite.org/pragma.html#pragma_auto_vacuum
        isShrinkable: Number(row?.["mode"]) === 2
      }
    },
    setSafetyLevel: (level) => {
      if (level === safety) return
      demand(`synchronous = ${level}`, "synchronous", level)
      safety = level
    },
    checkpoint: (mode) => {
      const row = pragma(`wal_checkpoint(${mode.toUpperCase()})`)[0]
      return {
        isBusy: row?.["busy"] === 1,
        logFrames: Number(row?.["log"] ?? -1),
        checkpointedFrames: Number(row?.["checkpointed"] ?? -1),
        frameBytes
      }
    }
  }
}
