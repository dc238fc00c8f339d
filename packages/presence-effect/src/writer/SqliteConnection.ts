/**
 * Port to the one connection that writes.
 *
 * An adapter runs whole writes and nothing else: no statement reaches the
 * engine outside `BEGIN IMMEDIATE … COMMIT`, and nobody else can reach the
 * connection. Only `SqliteWriter` calls it, one call at a time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { Durability } from "./Durability.ts"
import type { Statement, StatementResult } from "./Write.ts"

/**
 * What the engine answered when it did not do what it was told.
 *
 * `code` is SQLite's extended result code. `CONFLICT` means that a statement
 * changed another number of rows than demanded; `LOST` that the connection died,
 * with `phase` telling whether the call had reached it; `MOVED` that the file or
 * the log under the path is another one; `RESERVE` that less room is left on the
 * disk than writes must leave; `GONE` that the connection was given up.
 *
 * @category errors
 * @since 0.1.0
 */
export class EngineFault extends Data.TaggedError("EngineFault")<{
  readonly code: string
  readonly detail: string
  /** How far the call had come. `queued`: the engine has not seen it. */
  readonly phase: "queued" | "begin" | "statement" | "commit"
  readonly conflict?: { readonly statement: number; readonly expected: "some" | number; readonly changed: number }
  /** The connection has stopped: it answers every later call with this fault, and touches the file no more. */
  readonly isFinal?: boolean
}> {}

/**
 * The answer to one write of a group.
 *
 * @category models
 * @since 0.1.0
 */
export type WriteAnswer =
  | { readonly _tag: "Done"; readonly results: ReadonlyArray<StatementResult> }
  | { readonly _tag: "Failed"; readonly fault: EngineFault }

/**
 * `noop` only looks; `passive` copies what it can; `truncate` also empties the
 * log, if nobody uses it. None ever waits: busy timeout 0.
 *
 * **Source**: https://sqlite.org/pragma.html#pragma_wal_checkpoint
 *
 * @category models
 * @since 0.1.0
 */
export type CheckpointMode = "noop" | "passive" | "truncate"

/**
 * @category models
 * @since 0.1.0
 */
export interface CheckpointResult {
  /** Somebody was in the way; nothing is wrong, try later. */
  readonly isBusy: boolean
  /** Frames in the log, -1 without a log. */
  readonly logFrames: number
  /** Frames that are copied into the database file. */
  readonly checkpointedFrames: number
  /** Bytes of a frame in the log, page and header. */
  readonly frameBytes: number
}

/**
 * Device and inode of the database file and of its log: what tells a file from
 * another one that took its path. `undefined` where no file is.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileIdentity {
  readonly database: string | undefined
  readonly log: string | undefined
  readonly databaseBytes: number
  readonly logBytes: number
}

/**
 * @category services
 * @since 0.1.0
 */
export class SqliteConnection extends Context.Tag("presence-effect/writer/SqliteConnection")<
  SqliteConnection,
  {
    /**
     * Runs the writes of `group` in one `BEGIN IMMEDIATE … COMMIT`, one answer
     * each, in order. With two or more writes each gets a savepoint, so that one
     * that fails takes no other with it. Fails as a whole when the transaction
     * could not begin or not commit: then nothing of the group is written, except
     * after an input/output error of the commit and after `LOST` in a later phase
     * than `queued`, when nobody knows.
     */
    readonly run: (
      group: ReadonlyArray<ReadonlyArray<Statement>>,
      durability: Durability
    ) => Effect.Effect<ReadonlyArray<WriteAnswer>, EngineFault>
    /** Checkpoint by the writing connection itself, so that the next write starts the log anew. */
    readonly checkpoint: (mode: CheckpointMode) => Effect.Effect<CheckpointResult, EngineFault>
    /** How far the log is, without copying anything. Needs no permit. */
    readonly logState: Effect.Effect<CheckpointResult, EngineFault>
    /** Copies the log from another connection and thread, waiting for nobody. Needs no permit. */
    readonly copyLog: Effect.Effect<CheckpointResult, EngineFault>
    /** Identity of the files under the path now. Needs no permit. */
    readonly identity: Effect.Effect<FileIdentity, EngineFault>
    /**
     * Never succeeds. Fails with the fault that ended the connection: the file is damaged (`SQLITE_CORRUPT`,
     * `SQLITE_NOTADB`), it or its log was moved (`MOVED`), the disk failed again on a new connection
     * (`SQLITE_IOERR`), or no connection could be kept (`GONE`).
     */
    readonly untilStopped: Effect.Effect<never, EngineFault>
    /**
     * Ends the connection with a fault that somebody else has met, such as damage that a read came across: every later
     * call fails with it. What the engine is at goes on to its end. The first fault that ends it stays.
     */
    readonly stop: (fault: EngineFault) => Effect.Effect<void>
  }
>() {}
