/**
 * Port to the one connection that writes.
 *
 * An adapter runs whole writes and nothing else: no statement reaches the
 * engine outside `BEGIN IMMEDIATE … COMMIT`, and nothing else can reach the
 * connection. Only `SqliteWriter` calls it, one call at a time.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { deepStrictEqual } from "node:assert/strict"
 * import * as SimulatedConnection from "presence-effect/testing/SimulatedConnection"
 * import * as Lane from "presence-effect/writer/Lane"
 * import { SqliteConnection } from "presence-effect/writer/SqliteConnection"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * // An adapter around another one, which sees every commit.
 * const commits: Array<string> = []
 * const watched = Layer.effect(
 *   SqliteConnection,
 *   Effect.map(SqliteConnection, (inner) =>
 *     SqliteConnection.of({
 *       ...inner,
 *       run: (group, durability) =>
 *         Effect.tap(inner.run(group, durability), () => commits.push(`${group.length} for ${durability}`))
 *     })
 *   )
 * )
 * const program = Effect.gen(function* () {
 *   const { layer } = yield* SimulatedConnection.make()
 *   const write = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *     writer.write(Lane.control, Write.statement("DELETE FROM Machine WHERE id = ?", ["m"]))
 *   )
 *   yield* Effect.provide(write, SqliteWriter.layer().pipe(Layer.provide(watched), Layer.provide(layer)))
 *   deepStrictEqual(commits, ["1 for power-loss"])
 * })
 * await Effect.runPromise(program)
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Durability } from "./Durability.ts"
import type { EngineFault, WriteAnswer } from "./Engine.ts"
import type { Statement } from "./Write.ts"

export {
  /**
   * The failure of an engine call.
   *
   * @category errors
   * @since 0.1.0
   */
  EngineFault
} from "./Engine.ts"

export type {
  /**
   * A fault as plain data, which crosses threads.
   *
   * @category errors
   * @since 0.2.0
   */
  Fault,
  /**
   * Why the engine refused or failed a call.
   *
   * @category errors
   * @since 0.2.0
   */
  FaultReason,
  /**
   * The answer to one write of a group.
   *
   * @category models
   * @since 0.1.0
   */
  WriteAnswer
} from "./Engine.ts"

/**
 * `noop` only looks; `passive` copies what it can; `truncate` also empties the
 * log, if no reader uses it. None ever waits: busy timeout 0.
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
  /** Another connection was in the way; nothing is wrong, try later. */
  readonly isBusy: boolean
  /** Frames in the log, -1 without a log. */
  readonly logFrames: number
  /** Frames that are copied into the database file. */
  readonly checkpointedFrames: number
  /** Bytes of a frame in the log, page and header. */
  readonly frameBytes: number
}

/**
 * What a database file holds, in pages.
 *
 * @category models
 * @since 0.3.0
 */
export interface Space {
  readonly pageBytes: number
  readonly pageCount: number
  /** Pages that hold nothing. New rows use them before the file grows. */
  readonly freePages: number
  /** Whether free pages can leave the file while it is used: it was made with `auto_vacuum = INCREMENTAL`. */
  readonly isShrinkable: boolean
}

/**
 * @category models
 * @since 0.3.0
 */
export interface Compacted extends Space {
  /** Pages that leave the file with the next checkpoint. */
  readonly removedPages: number
}

/**
 * Device and inode of the database file and of its log: they distinguish a file from
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
 * What only the file of SQLite has: a log that is copied into it, free pages, and an identity under its path.
 *
 * @category models
 * @since 0.4.0
 */
export interface WriteLog {
  /** Checkpoint by the writing connection itself, so that the next write starts the log anew. */
  readonly checkpoint: (mode: CheckpointMode) => Effect.Effect<CheckpointResult, EngineFault>
  /**
   * Takes up to `pageLimit` free pages out of the file, in one commit that survives a crash of the process. Does
   * nothing to a file that is not shrinkable. Uses the reserve of the disk.
   *
   * @since 0.3.0
   */
  readonly compact: (pageLimit: number) => Effect.Effect<Compacted, EngineFault>
  /**
   * What the file holds now. Needs no permit.
   *
   * @since 0.3.0
   */
  readonly space: Effect.Effect<Space, EngineFault>
  /** How far the log is, without copying anything. Needs no permit. */
  readonly logState: Effect.Effect<CheckpointResult, EngineFault>
  /** Copies the log from another connection and thread, without waiting for a lock. Needs no permit. */
  readonly copyLog: Effect.Effect<CheckpointResult, EngineFault>
  /** Identity of the files under the path now. Needs no permit. */
  readonly identity: Effect.Effect<FileIdentity, EngineFault>
}

/**
 * @category services
 * @since 0.1.0
 */
export class SqliteConnection extends Context.Tag("presence-effect/writer/SqliteConnection")<
  SqliteConnection,
  WriteLog & {
    /**
     * Runs the writes of `group` in one `BEGIN IMMEDIATE … COMMIT`, one answer
     * each, in order. A write that fails takes no other with it. Fails as a whole when the transaction
     * could not begin or not commit: then nothing of the group is written, except
     * after an input/output error of the commit and after `Lost` in a later phase
     * than `queued`, when it is unknown.
     */
    readonly run: (
      group: ReadonlyArray<ReadonlyArray<Statement>>,
      durability: Durability
    ) => Effect.Effect<ReadonlyArray<WriteAnswer>, EngineFault>
    /**
     * Never succeeds. Fails with the fault that ended the connection: the file is damaged (`Corrupt`), it or its log
     * was moved (`Moved`), the disk failed again on a new connection (`InputOutput`), or no connection could be kept
     * (`Gone`).
     */
    readonly untilStopped: Effect.Effect<never, EngineFault>
    /**
     * Ends the connection with a fault that was found elsewhere, such as damage found by a read: every later
     * call fails with it. What the engine is at goes on to its end. The first fault that ends it stays.
     */
    readonly stop: (fault: EngineFault) => Effect.Effect<void>
    /**
     * Whether a failure of a host's own client on the same database means that another connection holds the lock.
     *
     * @since 0.2.0
     */
    readonly isBusy: (failure: unknown) => boolean
  }
>() {}
