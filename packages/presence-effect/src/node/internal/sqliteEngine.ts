/**
 * The synchronous part of both connection layers: runs groups of writes on the
 * one reserved connection of `@effect/sql-sqlite-node`.
 *
 * Everything here is plain data in, plain data out, so that it can stand on
 * either side of a thread. Nothing awaits: once a call has begun, it ends in the
 * same turn of the event loop, and no lock outlives it.
 */
import { faultOf } from "../../sqlite/internal/resultCode.ts"
import type { CheckpointMode, Fault, WriteAnswer } from "../../writer/SqliteConnection.ts"
import type { Durability } from "../../writer/Durability.ts"
import type { Statement } from "../../writer/Write.ts"
import type { EngineOptions } from "./connectionState.ts"
import type { OpenFiles } from "./fileWatch.ts"
import * as FreeSpace from "./freeSpace.ts"
import { GuardedConnection, isFilesOwn } from "./guardedConnection.ts"
import * as OpenConnection from "./openConnection.ts"
import { opened, orFailed, Refusal } from "./refusal.ts"
import { type Answered, type Checkpointed, type Compacted, type Failed, failed } from "./sqliteThreadProtocol.ts"
import { steersConnection } from "./steering.ts"

type Statements = ReadonlyArray<Statement>

/** Faults that concern the statement alone. After any other the transaction may be gone. */
const isStatementsOwn = ({ reason }: Fault): boolean => reason === "Rejected" || reason === "Conflict"

/** Caused by one write of a group, a deferred constraint that fails the commit included. */
const isOneWrites = (fault: Fault): boolean =>
  !isFilesOwn(fault) && (fault.phase === "statement" || isStatementsOwn(fault))

const needsNoTransaction = ({ changes, isAtomic }: Statement): boolean => changes === "any" && isAtomic === true

/** How far a statement came that is begun, run and committed in one step. */
const phaseOfOne = (fault: Fault): Fault["phase"] => {
  if (isStatementsOwn(fault)) return "statement"
  return fault.reason === "Busy" ? "begin" : fault.phase
}

const demandHarmless = ({ sql }: Statement): void => {
  if (!steersConnection(sql)) return
  const detail = "a write must not steer the transaction or the connection"
  throw new Refusal({ reason: "Rejected", code: "SQLITE_MISUSE", detail, phase: "statement" })
}

const removePage = "PRAGMA incremental_vacuum(1)"

const isBelow = (changes: Statement["changes"], changed: number): boolean =>
  changes === "some" ? changed === 0 : changes !== "any" && changes !== changed

/** Whether every statement of a write may use the reserve: it frees space, or must not wait for it. */
const usesReserve = (statements: Statements): boolean =>
  statements.length > 0 && statements.every((statement) => statement.usesReserve === true)

/** Groups whose writes are kept apart after one that could not be committed as a whole. */
const carefulMax = 64

export class Engine {
  private readonly connection: GuardedConnection
  private readonly space: FreeSpace.FreeSpace
  /** So many groups still begin with a savepoint for each write. */
  private carefulGroups = 0

  /** Opens the connection and brings it into the one state all writes rely on. Throws a `Fault`. */
  constructor(options: EngineOptions) {
    this.connection = new GuardedConnection(options, OpenConnection.open)
    this.space = FreeSpace.make(options.filename, options.freeReserveBytes)
  }

  /** The files that are open, for whatever opens them again. */
  files(): OpenFiles {
    return this.connection.files()
  }

  run(group: ReadonlyArray<Statements>, durability: Durability): Answered | Failed {
    try {
      const stopped = orFailed(() => this.connection.demandGoing())
      if (stopped !== undefined) return stopped
      const refusal = this.space.refusal(() => this.connection.reusableBytes())
      if (refusal === undefined) return this.answered(group, durability)
      const admitted = group.filter(usesReserve)
      if (admitted.length === 0) return failed(refusal)
      const reply = this.answered(admitted, durability)
      if (reply._tag === "Failed") return reply
      const answers = reply.answers.values()
      return {
        _tag: "Answered",
        answers: group.map((write) => (usesReserve(write) ? answers.next().value : undefined) ?? failed(refusal))
      }
    } catch (cause) {
      return failed(faultOf(cause, "begin"))
    }
  }

  /** Returns up to `pageLimit` free pages to the file system. The file is shorter after the next checkpoint. */
  compact(pageLimit: number): Compacted | Failed {
    return orFailed(() => {
      const before = this.connection.space()
      const pages = before.isShrinkable ? Math.min(pageLimit, before.freePages) : 0
      if (pages <= 0) return { _tag: "Compacted", result: { ...before, removedPages: 0 } }
      this.inTransaction("process-crash", () => {
        // The driver steps a statement without columns once, which is one page, however many are asked for.
        for (let page = 0; page < pages; page++) this.connection.execute(removePage, [], "statement")
      })
      return { _tag: "Compacted", result: { ...this.connection.space(), removedPages: pages } }
    })
  }

  checkpoint(mode: CheckpointMode): Checkpointed | Failed {
    return orFailed(() => ({ _tag: "Checkpointed", result: this.connection.checkpoint(mode) }))
  }

  close(): void {
    this.connection.close()
  }

  private answered(group: ReadonlyArray<Statements>, durability: Durability): Answered | Failed {
    const answers = this.answers(group, durability)
    return "_tag" in answers ? answers : { _tag: "Answered", answers }
  }

  private answers(group: ReadonlyArray<Statements>, durability: Durability): ReadonlyArray<WriteAnswer> | Failed {
    if (group.length === 1) {
      const answer = this.runAlone(group[0] ?? [], durability)
      return answer._tag === "Failed" && !isOneWrites(answer.fault) ? answer : [answer]
    }
    if (this.carefulGroups > 0) this.carefulGroups--
    else {
      const whole = orFailed(() => this.runWhole(group, durability))
      if (!("_tag" in whole) || !isOneWrites(whole.fault)) return whole
      this.carefulGroups = carefulMax
    }
    const together = orFailed(() => this.runApart(group, durability))
    // One write of the group broke the transaction of all. Alone, each gets the answer that is its own.
    return "_tag" in together && isOneWrites(together.fault)
      ? group.map((statements) => this.runAlone(statements, durability))
      : together
  }

  private runAlone(statements: Statements, durability: Durability): WriteAnswer {
    return orFailed(() => {
      const [first] = statements
      if (first !== undefined && statements.length === 1 && needsNoTransaction(first)) {
        return this.runStatement(first, durability)
      }
      return this.inTransaction(durability, () => this.runWriteOrThrow(statements))
    })
  }

  private runWriteOrThrow(statements: Statements): WriteAnswer {
    const answer = this.runWrite(statements)
    if (answer._tag === "Failed") throw new Refusal(answer.fault)
    return answer
  }

  /**
   * Without a savepoint for each write, which takes two more statements: any failure is that of the whole group. Most
   * groups have none.
   */
  private runWhole(group: ReadonlyArray<Statements>, durability: Durability): ReadonlyArray<WriteAnswer> {
    return this.inTransaction(durability, () => group.map((statements) => this.runWriteOrThrow(statements)))
  }

  private runApart(group: ReadonlyArray<Statements>, durability: Durability): ReadonlyArray<WriteAnswer> {
    return this.inTransaction(durability, () =>
      group.map((statements) => {
        this.connection.execute("SAVEPOINT one_write", [], "statement")
        const answer = this.runWrite(statements)
        if (answer._tag === "Failed") {
          if (!isStatementsOwn(answer.fault)) throw new Refusal(answer.fault)
          this.connection.execute("ROLLBACK TO one_write", [], "statement")
        }
        this.connection.execute("RELEASE one_write", [], "statement")
        return answer
      })
    )
  }

  private inTransaction<A>(durability: Durability, body: () => A): A {
    this.demandReady(durability)
    this.connection.execute("BEGIN IMMEDIATE", [], "begin")
    try {
      const result = body()
      this.connection.execute("COMMIT", [], "commit")
      this.connection.confirm()
      return result
    } catch (refusal) {
      this.connection.rollback()
      throw refusal
    }
  }

  private runWrite(statements: Statements): WriteAnswer {
    return orFailed(() => {
      const results = statements.map((statement, index) => {
        demandHarmless(statement)
        const result = this.connection.execute(statement.sql, statement.params, "statement")
        if (statement.changes !== "any" && isBelow(statement.changes, result.changes)) {
          const conflict = { statement: index, expected: statement.changes, changed: result.changes }
          throw new Refusal({
            reason: "Conflict",
            code: "CONFLICT",
            detail: statement.sql,
            phase: "statement",
            conflict
          })
        }
        return result
      })
      return { _tag: "Done", results }
    })
  }

  /**
   * A transaction by itself. Inside one that was begun, SQLite would keep a copy of each page the statement changes,
   * which made a flush of 1 000 rows a fifth slower.
   */
  private runStatement(statement: Statement, durability: Durability): WriteAnswer {
    this.demandReady(durability)
    demandHarmless(statement)
    try {
      const result = this.connection.execute(statement.sql, statement.params, "commit")
      this.connection.confirm()
      return { _tag: "Done", results: [result] }
    } catch (refusal) {
      if (refusal instanceof Refusal) throw new Refusal({ ...refusal.fault, phase: phaseOfOne(refusal.fault) })
      throw refusal
    }
  }

  private demandReady(durability: Durability): void {
    this.connection.demandGoing()
    this.connection.demandDurability(durability)
  }
}

/** An engine on the file, or the failure to open it. */
export const open = (options: EngineOptions): Engine | Failed => opened(() => new Engine(options))
