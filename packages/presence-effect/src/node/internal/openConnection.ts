/**
 * One connection of `@effect/sql-sqlite-node`, reserved for good and brought into the one state all writes rely on.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { CheckpointMode, CheckpointResult, Space } from "../../writer/SqliteConnection.ts"
import type { Row, SqlValue, StatementResult } from "../../writer/Write.ts"
import { codeOf, faultOf } from "../../sqlite/internal/resultCode.ts"

export interface Options {
  readonly filename: string
  /** Upper bound of what SQLite leaves of the log file after it was emptied, in bytes. */
  readonly journalSizeLimitBytes: number
  /** Run on the new connection, in order. */
  readonly setup: ReadonlyArray<string>
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

const unwrap = (exit: Exit.Exit<unknown, SqlError>): unknown => {
  if (Exit.isSuccess(exit)) return exit.value
  const error = exit.cause._tag === "Fail" ? exit.cause.error : undefined
  throw error === undefined ? rootOf(exit.cause._tag === "Die" ? exit.cause.defect : exit.cause) : error.cause
}

/** The driver binds every number as a real: an integer stays one, also in a column without a type. */
const bound = (value: unknown): unknown => (Number.isSafeInteger(value) ? BigInt(value as number) : value)

/** The driver reads all integers as bigints here: those that fit are numbers, and no other is rounded. */
const exact = (value: SqlValue): SqlValue =>
  typeof value === "bigint" && value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER
    ? Number(value)
    : value

const exactRow = (row: Row): Row => {
  const read: Record<string, SqlValue> = {}
  for (const column of Object.keys(row)) read[column] = exact(row[column] ?? null)
  return read
}

/** Statements whose failure is remembered before all of it is forgotten. */
const unpreparedMax = 1_000

/**
 * Runs statements. The client keeps what it prepared, and for minutes also that it could not prepare a statement: one
 * that failed so is run past its cache from then on, since the table may have come meanwhile.
 */
const executor = (connection: Connection) => {
  const unprepared = new Set<string>()
  const raw = (sql: string, params: ReadonlyArray<unknown>) =>
    Effect.runSyncExit(Effect.provideService(connection.executeRaw(sql, params), SqlClient.SafeIntegers, true))
  const numberOf = (sql: string): number => Number((unwrap(raw(sql, [])) as ReadonlyArray<Row>)[0]?.["n"])
  const totalChanges = (): number => numberOf("SELECT total_changes() AS n")

  const pastTheCache = (sql: string, params: ReadonlyArray<unknown>): StatementResult => {
    const before = totalChanges()
    const run = Effect.suspend(() => connection.executeUnprepared(sql, params, undefined))
    const rows = unwrap(
      Effect.runSyncExit(Effect.provideService(run, SqlClient.SafeIntegers, true))
    ) as ReadonlyArray<Row>
    if (rows.length > 0) return { rows: rows.map(exactRow), changes: rows.length }
    const changes = totalChanges() === before ? 0 : numberOf("SELECT changes() AS n")
    return { rows: [], changes }
  }

  return (sql: string, params: ReadonlyArray<unknown>): StatementResult => {
    const values = params.map(bound)
    if (unprepared.has(sql)) return pastTheCache(sql, values)
    const exit = raw(sql, values)
    if (
      Exit.isFailure(exit) &&
      exit.cause._tag === "Fail" &&
      exit.cause.error.message.startsWith("Failed to prepare")
    ) {
      if (unprepared.size >= unpreparedMax) unprepared.clear()
      unprepared.add(sql)
    }
    const reply = unwrap(exit) as ReadonlyArray<Row> | { readonly changes: number }
    if ("changes" in reply) return { rows: [], changes: reply.changes }
    return { rows: reply.map(exactRow), changes: reply.length }
  }
}

/** Of one state of the file. */
const selectSpace = `SELECT page_count AS pageCount, freelist_count AS freePages, auto_vacuum AS mode
  FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum`

const prepare = (connection: Connection, options: Options): Omit<OpenConnection, "close"> => {
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
  const pageBytes = Number(pragma("page_size")[0]?.["page_size"])
  // A frame is one page and a header of 24 bytes: https://sqlite.org/walformat.html
  const frameBytes = pageBytes + 24
  const execute = executor(connection)
  for (const sql of options.setup) {
    unwrap(Effect.runSyncExit(Effect.suspend(() => connection.executeUnprepared(sql, [], undefined))))
  }

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
