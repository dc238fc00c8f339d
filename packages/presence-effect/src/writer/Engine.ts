/**
 * Port to a database that runs whole writes and nothing else.
 *
 * SQLite's is `SqliteConnection`, which adds what only a file has; a database
 * server's is `postgres/PostgresEngine` or `mysql/MysqlEngine`, with several
 * connections.
 *
 * @example
 * import { EngineFault } from "presence-effect/writer/Engine"
 *
 * // What an engine of your own fails with when another transaction holds the lock.
 * const fault = new EngineFault({ reason: "Busy", code: "55P03", detail: "a lock was not free", phase: "begin" })
 * console.log(fault.message) // a lock was not free (55P03)
 *
 * @since 0.4.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Durability } from "./Durability.ts"
import type { Statement, StatementResult } from "./Write.ts"

/**
 * Why the engine refused or failed a call.
 *
 * - `Busy`: another connection holds the lock. `Full`: no room, or only the reserve
 *   is left that writes must leave.
 * - `Rejected`: the statement is refused for itself. `Conflict`: a statement changed
 *   another number of rows than its write demands.
 * - `Readonly`: the file cannot be opened or written by this process. `Moved`: the
 *   file or its log was deleted or replaced. `Corrupt`: it is damaged.
 * - `InputOutput`: the disk failed. `System`: something else of the system did, such
 *   as memory.
 * - `Lost`: the connection died; `phase` states whether the call had reached it.
 *   `Gone`: it was closed for good.
 * - `Unknown`: a code that this version does not know.
 *
 * @category errors
 * @since 0.2.0
 */
export type FaultReason =
  | "Busy"
  | "Rejected"
  | "Conflict"
  | "Full"
  | "Readonly"
  | "Moved"
  | "Corrupt"
  | "InputOutput"
  | "System"
  | "Lost"
  | "Gone"
  | "Unknown"

/**
 * A fault as plain data, which crosses threads.
 *
 * @category errors
 * @since 0.2.0
 */
export interface Fault {
  readonly reason: FaultReason
  /** The engine's own code, for logs: SQLite's extended result code, a SQLSTATE. Decide by `reason`. */
  readonly code: string
  readonly detail: string
  /**
   * How far the call had come. `queued`: the engine has not seen it, or lost it before it was told to commit, so that
   * nothing of it is written.
   */
  readonly phase: "queued" | "begin" | "statement" | "commit"
  readonly conflict?: { readonly statement: number; readonly expected: "some" | number; readonly changed: number }
  /** The connection has stopped: it answers every later call with this fault, and touches the file no more. */
  readonly isFinal?: boolean
}

/**
 * The failure of an engine call.
 *
 * @category errors
 * @since 0.1.0
 */
export class EngineFault extends Data.TaggedError("EngineFault")<Fault> {
  /** @since 0.2.0 */
  override get message(): string {
    return `${this.detail} (${this.code})`
  }
}

/**
 * The answer to one write of a group.
 *
 * @category models
 * @since 0.1.0
 */
export type WriteAnswer =
  | { readonly _tag: "Done"; readonly results: ReadonlyArray<StatementResult> }
  | { readonly _tag: "Failed"; readonly fault: Fault }

/**
 * What every engine does.
 *
 * @category models
 * @since 0.4.0
 */
export interface EngineService {
  /**
   * Runs the writes of `group` in one transaction, one answer each, in order. A
   * write that fails takes no other with it. Fails as a whole when the transaction
   * could not begin or not commit: then nothing of the group is written, except
   * after an input/output error of the commit and after `Lost` in a later phase
   * than `queued`, when it is unknown.
   *
   * `limitMillis`: how long the callers wait for the answer. A database server ends statements that take longer.
   */
  readonly run: (
    group: ReadonlyArray<ReadonlyArray<Statement>>,
    durability: Durability,
    limitMillis?: number
  ) => Effect.Effect<ReadonlyArray<WriteAnswer>, EngineFault>
  /** Never succeeds. Fails with the fault that ended the engine for good. */
  readonly untilStopped: Effect.Effect<never, EngineFault>
  /**
   * Ends the engine with a fault that was found elsewhere: every later call fails with it. What the engine is at goes
   * on to its end. The first fault that ends it stays.
   */
  readonly stop: (fault: EngineFault) => Effect.Effect<void>
  /** How many groups it runs at once. */
  readonly permits: number
}

/**
 * An engine that may run several groups at once. `Writer` is its only caller, and never calls it more often at once
 * than it has permits.
 *
 * @category services
 * @since 0.4.0
 */
export class Engine extends Context.Tag("presence-effect/writer/Engine")<Engine, EngineService>() {}
