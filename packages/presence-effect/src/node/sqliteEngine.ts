/**
 * The synchronous heart of both connection layers: runs groups of writes on the
 * one reserved connection of `@effect/sql-sqlite-node`.
 *
 * Everything here is plain data in, plain data out, so that it can stand on
 * either side of a thread. Nothing awaits: once a call has begun, it ends in the
 * same turn of the event loop, and no lock outlives it.
 */
import * as Reactivity from "@effect/experimental/Reactivity"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { CheckpointMode, CheckpointResult } from "../SqliteConnection.ts"
import type { Durability } from "../Durability.ts"
import type { Row, Statement, StatementResult } from "../Write.ts"

/** An `EngineFault` as plain data. */
export interface Fault {
  readonly code: string
  readonly detail: string
  readonly phase: "queued" | "begin" | "statement" | "commit"
  readonly conflict?: { readonly statement: number; readonly expected: "some" | number; readonly changed: number }
}

/** What became of one write of a group. */
export type Answer =
  | { readonly _tag: "Done"; readonly results: ReadonlyArray<StatementResult> }
  | { readonly _tag: "Failed"; readonly fault: Fault }

export interface EngineOptions {
  readonly filename: string
  /** Upper bound of what SQLite leaves of the log file after it was emptied, in bytes. */
  readonly journalSizeLimitBytes: number
}

/** Raised inside this module only; crosses its border as a `Fault`. */
class Refusal {
  readonly fault: Fault
  constructor(fault: Fault) {
    this.fault = fault
  }
}

export interface Engine {
  readonly run: (
    group: ReadonlyArray<ReadonlyArray<Statement>>,
    durability: Durability
  ) => ReadonlyArray<Answer> | Fault
  readonly checkpoint: (mode: CheckpointMode) => CheckpointResult | Fault
  readonly close: () => void
}

export const isFault = (reply: object): reply is Fault => "phase" in reply

const codeOf = (cause: unknown): string => {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined
  return typeof code === "string" ? code : "SQLITE_ERROR"
}

const faultOf = (cause: unknown, phase: Fault["phase"]): Fault =>
  // A connection that cannot be opened again throws a fault already.
  typeof cause === "object" && cause !== null && isFault(cause)
    ? { ...cause, phase }
    : { code: codeOf(cause), detail: cause instanceof Error ? cause.message : String(cause), phase }

/** Answers that concern the statement alone. After any other the transaction may be gone. */
const isStatementsOwn = ({ code }: Fault): boolean =>
  code === "CONFLICT" || code === "SQLITE_ERROR" || /^SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG|MISUSE|AUTH)/.test(code)

/** Caused by one write of a group, a deferred constraint that fails the commit included. */
const isOneWrites = (fault: Fault): boolean => fault.phase === "statement" || isStatementsOwn(fault)

/** A write that would end the transaction it runs in, or change the connection for those after it, comments aside. */
const steersConnection = new RegExp(
  /^(?:[\s;]|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*/.source +
    /(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA|ATTACH|DETACH|VACUUM)\b/.source,
  "i"
)

const safetyLevel: Record<Durability, number> = { "process-crash": 1, "power-loss": 2 }

const isBelow = (changes: Statement["changes"], changed: number): boolean =>
  changes === "some" ? changed === 0 : changes !== "any" && changes !== changed

/** Opens the connection and brings it into the one state all writes rely on. Throws a `Fault`. */
export const open = (options: EngineOptions): Engine => {
  let connection: OpenConnection | undefined = connect(options)
  let isSpoiled = false

  /** A prepare that failed stays in the client's cache for minutes, so the connection is replaced. */
  const current = (): OpenConnection => {
    if (connection !== undefined && isSpoiled) {
      connection.close()
      connection = undefined
    }
    isSpoiled = false
    connection ??= connect(options)
    return connection
  }

  const execute = (sql: string, params: ReadonlyArray<unknown>, phase: Fault["phase"]): StatementResult => {
    try {
      return current().execute(sql, params)
    } catch (cause) {
      if (cause instanceof PrepareFailed) isSpoiled = true
      throw new Refusal(faultOf(cause instanceof PrepareFailed ? cause.cause : cause, phase))
    }
  }

  /** Tolerant: SQLite has rolled back by itself after some errors. */
  const rollback = (): void => {
    try {
      connection?.execute("ROLLBACK", [])
    } catch (cause) {
      if (!/no transaction is active/.test(String(cause))) isSpoiled = true
    }
  }

  const runWrite = (statements: ReadonlyArray<Statement>): Answer => {
    try {
      const results = statements.map((statement, index) => {
        if (steersConnection.test(statement.sql)) {
          const detail = "a write must not steer the transaction or the connection"
          throw new Refusal({ code: "SQLITE_MISUSE", detail, phase: "statement" })
        }
        const result = execute(statement.sql, statement.params, "statement")
        if (statement.changes !== "any" && isBelow(statement.changes, result.changes)) {
          const conflict = { statement: index, expected: statement.changes, changed: result.changes }
          throw new Refusal({ code: "CONFLICT", detail: statement.sql, phase: "statement", conflict })
        }
        return result
      })
      return { _tag: "Done", results }
    } catch (refusal) {
      if (refusal instanceof Refusal) return { _tag: "Failed", fault: refusal.fault }
      throw refusal
    }
  }

  const inTransaction = <A>(durability: Durability, body: () => A): A => {
    begin(durability)
    try {
      const result = body()
      execute("COMMIT", [], "commit")
      return result
    } catch (refusal) {
      rollback()
      throw refusal
    }
  }

  const begin = (durability: Durability): void => {
    try {
      current().setSafetyLevel(safetyLevel[durability])
    } catch (cause) {
      throw new Refusal(faultOf(cause, "begin"))
    }
    execute("BEGIN IMMEDIATE", [], "begin")
  }

  const runAlone = (statements: ReadonlyArray<Statement>, durability: Durability): Answer => {
    try {
      return inTransaction(durability, () => {
        const answer = runWrite(statements)
        if (answer._tag === "Failed") throw new Refusal(answer.fault)
        return answer
      })
    } catch (refusal) {
      if (refusal instanceof Refusal) return { _tag: "Failed", fault: refusal.fault }
      throw refusal
    }
  }

  const runTogether = (group: ReadonlyArray<ReadonlyArray<Statement>>, durability: Durability): ReadonlyArray<Answer> =>
    inTransaction(durability, () =>
      group.map((statements) => {
        execute("SAVEPOINT one_write", [], "statement")
        const answer = runWrite(statements)
        if (answer._tag === "Failed") {
          if (!isStatementsOwn(answer.fault)) throw new Refusal(answer.fault)
          execute("ROLLBACK TO one_write", [], "statement")
        }
        execute("RELEASE one_write", [], "statement")
        return answer
      })
    )

  return {
    run: (group, durability) => {
      try {
        if (group.length === 1) {
          const answer = runAlone(group[0] ?? [], durability)
          return answer._tag === "Failed" && !isOneWrites(answer.fault) ? answer.fault : [answer]
        }
        return runTogether(group, durability)
      } catch (refusal) {
        if (!(refusal instanceof Refusal)) return faultOf(refusal, "begin")
        // One write of the group broke the transaction of all. Alone, each gets the answer that is its own.
        if (isOneWrites(refusal.fault)) return group.map((statements) => runAlone(statements, durability))
        return refusal.fault
      }
    },
    checkpoint: (mode) => {
      try {
        return current().checkpoint(mode)
      } catch (cause) {
        return faultOf(cause, "statement")
      }
    },
    close: () => {
      connection?.close()
      connection = undefined
    }
  }
}

/** A statement that could not be prepared, which the client remembers. */
class PrepareFailed extends Error {
  constructor(cause: unknown) {
    super("prepare failed", { cause })
  }
}

interface OpenConnection {
  /** Throws the driver's error, or `PrepareFailed` around it. */
  readonly execute: (sql: string, params: ReadonlyArray<unknown>) => StatementResult
  readonly setSafetyLevel: (level: number) => void
  readonly checkpoint: (mode: CheckpointMode) => CheckpointResult
  readonly close: () => void
}

const connect = (options: EngineOptions): OpenConnection => {
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

const prepare = (connection: Connection, options: EngineOptions): Omit<OpenConnection, "close"> => {
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
