/**
 * The open connection with its recovery: it is opened again after an error, and stopped for good when the file is
 * damaged, moved, or fails again.
 */
import { faultOf } from "../../sqlite/internal/resultCode.ts"
import type { CheckpointMode, CheckpointResult, Fault, Space } from "../../writer/SqliteConnection.ts"
import type { Durability } from "../../writer/Durability.ts"
import type { StatementResult } from "../../writer/Write.ts"
import type { EngineOptions, Open, OpenConnection } from "./connectionState.ts"
import * as FileWatch from "./fileWatch.ts"
import * as OpenFailure from "./openFailure.ts"
import { Refusal } from "./refusal.ts"

const safetyLevel: Record<Durability, number> = { "process-crash": 1, "power-loss": 2 }

/** Faults of the file: no other write fares better. */
export const isFilesOwn = ({ reason }: Fault): boolean =>
  reason === "Moved" || reason === "Corrupt" || reason === "InputOutput"

/** What is damaged is not opened again either. */
const openOrThrow = (open: Open, options: EngineOptions): OpenConnection => {
  try {
    return open(options)
  } catch (cause) {
    const refused = faultOf(cause, "queued")
    const fault = options.files === undefined ? OpenFailure.explained(options.filename, refused) : refused
    throw isFilesOwn(fault) && fault.reason !== "InputOutput" ? { ...fault, isFinal: true } : fault
  }
}

/** Opens the connection, and refuses a file that took the place of the one asked for. Throws a `Fault`. */
const connect = (open: Open, options: EngineOptions): OpenConnection => {
  const problem = options.files === undefined ? OpenFailure.problemOf(options.filename) : undefined
  if (problem !== undefined) throw problem
  const { database } = FileWatch.read(options.filename)
  const connection = openOrThrow(open, options)
  const now = FileWatch.read(options.filename)
  const expected = options.files ?? { database, log: undefined }
  const fault = FileWatch.compare(options.filename, expected, now)
  if (fault === undefined) return connection
  connection.close()
  throw fault
}

/** Every method throws a `Refusal`, except where documented otherwise. */
export class GuardedConnection {
  private readonly options: EngineOptions
  private readonly watch: FileWatch.FileWatch
  private readonly open: Open
  private connection: OpenConnection | undefined
  private isSpoiled = false
  private ioFailuresInARow = 0
  private stopped: Fault | undefined

  /** Throws a `Fault`. */
  constructor(options: EngineOptions, open: Open) {
    this.options = options
    this.open = open
    this.connection = connect(open, options)
    this.watch = FileWatch.make(options.filename, options.files)
  }

  /** The files that are open. Throws nothing. */
  files(): FileWatch.OpenFiles {
    return this.watch.files()
  }

  demandGoing(): void {
    if (this.stopped !== undefined) throw new Refusal(this.stopped)
  }

  demandUnmoved(phase: Fault["phase"]): void {
    const fault = this.watch.look()
    if (fault !== undefined) throw new Refusal(this.noted({ ...fault, phase }))
  }

  execute(sql: string, params: ReadonlyArray<unknown>, phase: Fault["phase"]): StatementResult {
    try {
      return this.current().execute(sql, params)
    } catch (cause) {
      throw new Refusal(this.noted(faultOf(cause, phase)))
    }
  }

  /** What the next commit survives. */
  demandDurability(durability: Durability): void {
    try {
      this.current().setSafetyLevel(safetyLevel[durability])
    } catch (cause) {
      throw new Refusal(this.noted(faultOf(cause, "begin")))
    }
  }

  /** After the commit, so that no write into a deleted or replaced file is acknowledged. */
  confirm(): void {
    this.ioFailuresInARow = 0
    this.demandUnmoved("commit")
  }

  /** Tolerant: SQLite has rolled back by itself after some errors. Throws nothing. */
  rollback(): void {
    try {
      this.connection?.execute("ROLLBACK", [])
    } catch (cause) {
      if (!/no transaction is active/.test(String(cause))) this.isSpoiled = true
    }
  }

  checkpoint(mode: CheckpointMode): CheckpointResult {
    this.demandGoing()
    if (mode !== "noop") this.demandUnmoved("queued")
    try {
      const result = this.current().checkpoint(mode)
      if (mode !== "noop") this.ioFailuresInARow = 0
      return result
    } catch (cause) {
      throw new Refusal(this.noted(faultOf(cause, "statement")))
    }
  }

  space(): Space {
    this.demandGoing()
    try {
      return this.current().space()
    } catch (cause) {
      throw new Refusal(this.noted(faultOf(cause, "statement")))
    }
  }

  /** Bytes of the file that new rows can take. Throws nothing. */
  reusableBytes(): number {
    try {
      const { freePages, pageBytes } = this.current().space()
      return freePages * pageBytes
    } catch {
      return 0
    }
  }

  /** Throws nothing. */
  close(): void {
    this.connection?.close()
    this.connection = undefined
  }

  private current(): OpenConnection {
    if (this.connection !== undefined && !this.isSpoiled) return this.connection
    // The new one first: the last connection to close would remove the log.
    const fresh = connect(this.open, { ...this.options, files: this.watch.files() })
    this.connection?.close()
    this.isSpoiled = false
    return (this.connection = fresh)
  }

  /** What is damaged, gone, or fails again on a new connection must not be touched any more. */
  private noted(fault: Fault): Fault {
    const isInputOutput = fault.reason === "InputOutput"
    if (isInputOutput) {
      this.isSpoiled = true
      this.ioFailuresInARow++
    }
    // SQLite opens for reading what it may not write, and a connection opened so never writes again.
    if (fault.reason === "Readonly") this.isSpoiled = true
    if (!isFilesOwn(fault) || (isInputOutput && this.ioFailuresInARow < 2)) return fault
    this.stopped ??= { ...fault, phase: "queued", isFinal: true }
    return { ...fault, isFinal: true }
  }
}
