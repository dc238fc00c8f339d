/**
 * One connection of `@effect/sql-sqlite-node`, reserved for good and brought into the one state all writes rely on.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { CheckpointMode, CheckpointResult } from "../writer/SqliteConnection.ts"
import type { Row, StatementResult } from "../writer/Write.ts"
import { codeOf, faultOf } from "./engineFault.ts"

export interface Options {
  readonly filename: string
  /** Upper bound of what SQLite leaves of the log file after it was emptied, in bytes. */
  readonly journalSizeLimitBytes: number
}

/** A statement that could not be prepared, which the client remembers. */
export class PrepareFailed extends Error {
  constructor(cause: unknown) {
    super("prepare failed", { cause })
  }
}

export interface OpenConnection {
  /** Throws the driver's error, or `PrepareFailed` around it. */
  readonly execute: (sql: string, params: ReadonlyArray<unknown>) => StatementResult
  readonly setSafetyLevel: (level: number) => void
  readonly checkpoint: (mode: CheckpointMode) => CheckpointResult
  readonly close: () => void
}

/** Opens the file. Throws a `Fault`. */
export const open = (options: Options): OpenConnection => {
  const scope = Effect.runSync(Scope.make())
  const close = () => Effect.runSync(Scope.close(scope, Exit.void))
  try {
    const connection = Effect.runSync(
      SqliteClient.make({ filename: options.filename, disableWAL: true }).pipe(
        Effect.flatMap((client) => client.reserve),
        Effect.provide(Reactivity.layer),
        Scope.extend(scope)
      )
    )
    return { ...prepare(connection, options), close }
  } catch (cause) {
    close()
    throw faultOf(rootOf(cause), "queued")
  }
}

/** `runSync` wraps what it throws, and `SqlError` wraps what the driver threw. */
const rootOf = (cause: unknown): unknown =>
  cause instanceof Error && cause.cause !== undefined && codeOf(cause) === "SQLITE_ERROR" ? rootOf(cause.cause) : cause

const prepare = (connection: Connection, options: Options): Omit<OpenConnection, "close"> => {
  const unwrap = (exit: Exit.Exit<unknown, SqlError>): unknown => {
    if (Exit.isSuccess(exit)) return exit.value
    const error = exit.cause._tag === "Fail" ? exit.cause.error : undefined
    if (error === undefined) throw rootOf(exit.cause._tag === "Die" ? exit.cause.defect : exit.cause)
    throw error.message.startsWith("Failed to prepare") ? new PrepareFailed(error.cause) : error.cause
  }
  // Never cached: some pragmas act when they are compiled, not when they are stepped.
  const pragma = (text: string): ReadonlyArray<Row> =>
    unwrap(
      Effect.runSyncExit(Effect.suspend(() => connection.executeUnprepared(`PRAGMA ${text}`, [], undefined)))
    ) as ReadonlyArray<Row>
  const demand = (text: string, name: string, expected: string | number): void => {
    pragma(text)
    const actual = pragma(name)[0]?.[name]
    if (actual !== expected) throw new Error(`PRAGMA ${text} left ${name} at ${String(actual)}`)
  }

  // The client opens with better-sqlite3's 5 s, which would wait inside a call. The writer waits instead.
  pragma("busy_timeout = 0")
  if (pragma("journal_mode")[0]?.["journal_mode"] !== "wal") demand("journal_mode = WAL", "journal_mode", "wal")
  demand("foreign_keys = ON", "foreign_keys", 1)
  demand("wal_autocheckpoint = 0", "wal_autocheckpoint", 0)
  pragma(`journal_size_limit = ${options.journalSizeLimitBytes}`)
  // An UPDATE of many rows inside a transaction keeps a copy of each page until it ends: not in a file of its own.
  demand("temp_store = MEMORY", "temp_store", 2)
  demand("synchronous = FULL", "synchronous", 2)
  let safety = 2
  // A frame is one page and a header of 24 bytes: https://sqlite.org/walformat.html
  const frameBytes = Number(pragma("page_size")[0]?.["page_size"]) + 24

  return {
    execute: (sql, params) => {
      const reply = unwrap(Effect.runSyncExit(connection.executeRaw(sql, params))) as
        | ReadonlyArray<Row>
        | { readonly changes: number }
      return "changes" in reply ? { rows: [], changes: reply.changes } : { rows: reply, changes: reply.length }
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
