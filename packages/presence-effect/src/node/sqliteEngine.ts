/**
 * The synchronous heart of both connection layers: runs groups of writes on the
 * one reserved connection of `@effect/sql-sqlite-node`.
 *
 * Everything here is plain data in, plain data out, so that it can stand on
 * either side of a thread. Nothing awaits: once a call has begun, it ends in the
 * same turn of the event loop, and no lock outlives it.
 */
import { isBusyCode } from "../writer/internal/resultCode.ts"
import type { CheckpointMode, CheckpointResult } from "../writer/SqliteConnection.ts"
import type { Durability } from "../writer/Durability.ts"
import type { Statement, StatementResult } from "../writer/Write.ts"
import { type Fault, faultOf } from "./engineFault.ts"
import * as FileWatch from "./fileWatch.ts"
import * as FreeSpace from "./freeSpace.ts"
import * as OpenConnection from "./openConnection.ts"

/** What became of one write of a group. */
export type Answer =
  | { readonly _tag: "Done"; readonly results: ReadonlyArray<StatementResult> }
  | { readonly _tag: "Failed"; readonly fault: Fault }

export interface EngineOptions extends OpenConnection.Options {
  /** Writes are refused while less than this is free where the file is; 0: never. */
  readonly freeReserveBytes: number
  /** The files that an earlier connection had open: others in their place are refused. */
  readonly files?: FileWatch.OpenFiles
}

/** Raised inside this module only; crosses its border as a `Fault`. */
class Refusal {
  readonly fault: Fault
  constructor(fault: Fault) {
    this.fault = fault
  }
}

export interface Engine {
  /** The files that are open, for whoever opens them again. */
  readonly files: () => FileWatch.OpenFiles
  readonly run: (
    group: ReadonlyArray<ReadonlyArray<Statement>>,
    durability: Durability
  ) => ReadonlyArray<Answer> | Fault
  readonly checkpoint: (mode: CheckpointMode) => CheckpointResult | Fault
  readonly close: () => void
}

/** Answers that concern the statement alone. After any other the transaction may be gone. */
const isStatementsOwn = ({ code }: Fault): boolean =>
  code === "CONFLICT" || code === "SQLITE_ERROR" || /^SQLITE_(CONSTRAINT|MISMATCH|RANGE|TOOBIG|MISUSE|AUTH)/.test(code)

/** Answers that concern the file: no other write fares better. */
const isFilesOwn = ({ code }: Fault): boolean => /^(MOVED|SQLITE_(CORRUPT|NOTADB|IOERR))/.test(code)

const isInputOutput = ({ code }: Fault): boolean => code.startsWith("SQLITE_IOERR")

/** Caused by one write of a group, a deferred constraint that fails the commit included. */
const isOneWrites = (fault: Fault): boolean =>
  !isFilesOwn(fault) && (fault.phase === "statement" || isStatementsOwn(fault))

const needsNoTransaction = ({ changes, isAtomic }: Statement): boolean => changes === "any" && isAtomic === true

/** How far a statement came that is begun, run and committed in one step. */
const phaseOfOne = (fault: Fault): Fault["phase"] => {
  if (isStatementsOwn(fault)) return "statement"
  return isBusyCode(fault.code) ? "begin" : fault.phase
}

/** A write that would end the transaction it runs in, or change the connection for those after it, comments aside. */
const steersConnection = new RegExp(
  /^(?:[\s;]|--[^\n]*\n|\/\*(?:[^*]|\*(?!\/))*\*\/)*/.source +
    /(?:BEGIN|COMMIT|END|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA|ATTACH|DETACH|VACUUM)\b/.source,
  "i"
)

const safetyLevel: Record<Durability, number> = { "process-crash": 1, "power-loss": 2 }

const isBelow = (changes: Statement["changes"], changed: number): boolean =>
  changes === "some" ? changed === 0 : changes !== "any" && changes !== changed

/** What is damaged is not opened again either. */
const openOrThrow = (options: EngineOptions): OpenConnection.OpenConnection => {
  try {
    return OpenConnection.open(options)
  } catch (cause) {
    const fault = faultOf(cause, "queued")
    throw isFilesOwn(fault) && !isInputOutput(fault) ? { ...fault, isFinal: true } : fault
  }
}

/** Opens the connection, and refuses a file that took the place of the one asked for. Throws a `Fault`. */
const connect = (options: EngineOptions): OpenConnection.OpenConnection => {
  const { database } = FileWatch.read(options.filename)
  const connection = openOrThrow(options)
  const now = FileWatch.read(options.filename)
  // A file that was not there is made by opening it.
  const expected = options.files ?? { database: database ?? now.database, log: undefined }
  const fault = FileWatch.compare(options.filename, expected, now)
  if (fault === undefined) return connection
  connection.close()
  throw fault
}

/** Opens the connection and brings it into the one state all writes rely on. Throws a `Fault`. */
export const open = (options: EngineOptions): Engine => {
  let connection: OpenConnection.OpenConnection | undefined = connect(options)
  const watch = FileWatch.make(options.filename, options.files)
  const space = FreeSpace.make(options.filename, options.freeReserveBytes)
  let isSpoiled = false
  let ioFailuresInARow = 0
  let stopped: Fault | undefined

  /** What is damaged, gone, or fails again on a new connection must not be touched any more. */
  const noted = (fault: Fault): Fault => {
    if (isInputOutput(fault)) {
      isSpoiled = true
      ioFailuresInARow++
    }
    // SQLite opens for reading what it may not write, and a connection opened so never writes again.
    if (fault.code.startsWith("SQLITE_READONLY")) isSpoiled = true
    if (!isFilesOwn(fault) || (isInputOutput(fault) && ioFailuresInARow < 2)) return fault
    stopped ??= { ...fault, phase: "queued", isFinal: true }
    return { ...fault, isFinal: true }
  }

  const demandGoing = (): void => {
    if (stopped !== undefined) throw new Refusal(stopped)
  }

  const demandUnmoved = (phase: Fault["phase"]): void => {
    const fault = watch.look()
    if (fault !== undefined) throw new Refusal(noted({ ...fault, phase }))
  }

  /** A prepare that failed stays in the client's cache for minutes, so the connection is replaced. */
  const current = (): OpenConnection.OpenConnection => {
    if (connection !== undefined && !isSpoiled) return connection
    // The new one first: the last connection to close would remove the log.
    const fresh = connect({ ...options, files: watch.files() })
    connection?.close()
    isSpoiled = false
    return (connection = fresh)
  }

  const execute = (sql: string, params: ReadonlyArray<unknown>, phase: Fault["phase"]): StatementResult => {
    try {
      return current().execute(sql, params)
    } catch (cause) {
      if (cause instanceof OpenConnection.PrepareFailed) isSpoiled = true
      throw new Refusal(noted(faultOf(cause instanceof OpenConnection.PrepareFailed ? cause.cause : cause, phase)))
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

  const demandHarmless = ({ sql }: Statement): void => {
    if (!steersConnection.test(sql)) return
    const detail = "a write must not steer the transaction or the connection"
    throw new Refusal({ code: "SQLITE_MISUSE", detail, phase: "statement" })
  }

  const runWrite = (statements: ReadonlyArray<Statement>): Answer => {
    try {
      const results = statements.map((statement, index) => {
        demandHarmless(statement)
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
    prepare(durability)
    execute("BEGIN IMMEDIATE", [], "begin")
    try {
      const result = body()
      execute("COMMIT", [], "commit")
      confirm()
      return result
    } catch (refusal) {
      rollback()
      throw refusal
    }
  }

  const prepare = (durability: Durability): void => {
    demandGoing()
    const refusal = space.refusal()
    if (refusal !== undefined) throw new Refusal(refusal)
    try {
      current().setSafetyLevel(safetyLevel[durability])
    } catch (cause) {
      throw new Refusal(noted(faultOf(cause, "begin")))
    }
  }

  /** After the commit, so that none is confirmed which went into a file that nobody will see again. */
  const confirm = (): void => {
    ioFailuresInARow = 0
    demandUnmoved("commit")
  }

  /**
   * A transaction by itself. Inside one that was begun, SQLite would keep a copy of each page the statement changes,
   * which made a flush of 1 000 rows a fifth slower.
   */
  const runStatement = (statement: Statement, durability: Durability): Answer => {
    prepare(durability)
    demandHarmless(statement)
    try {
      const result = execute(statement.sql, statement.params, "commit")
      confirm()
      return { _tag: "Done", results: [result] }
    } catch (refusal) {
      if (refusal instanceof Refusal) throw new Refusal({ ...refusal.fault, phase: phaseOfOne(refusal.fault) })
      throw refusal
    }
  }

  const runAlone = (statements: ReadonlyArray<Statement>, durability: Durability): Answer => {
    try {
      const [first] = statements
      if (first !== undefined && statements.length === 1 && needsNoTransaction(first)) {
        return runStatement(first, durability)
      }
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
    files: watch.files,
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
        demandGoing()
        if (mode !== "noop") demandUnmoved("queued")
        const result = current().checkpoint(mode)
        if (mode !== "noop") ioFailuresInARow = 0
        return result
      } catch (cause) {
        return cause instanceof Refusal ? cause.fault : noted(faultOf(cause, "statement"))
      }
    },
    close: () => {
      connection?.close()
      connection = undefined
    }
  }
}
