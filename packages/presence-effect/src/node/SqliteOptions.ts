/**
 * What both connection layers need to know about the file.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { isBusyCode } from "../writer/internal/resultCode.ts"
import type { EngineFault } from "../writer/SqliteConnection.ts"
import type { OpenFiles } from "./fileWatch.ts"
import type { EngineOptions } from "./sqliteEngine.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SqliteOptions {
  /** Path of the database file. It must exist with its schema: migrate before opening. */
  readonly filename: string
  /** Upper bound of the log file after it was emptied, in bytes. Default 64 MiB; -1 for none. */
  readonly journalSizeLimitBytes?: number
  /**
   * Room to leave on the disk, in bytes: while less is free every write is refused with `DatabaseFull`, and goes on
   * when a quarter more is. What is left lets the log be copied and emptied. Default 0: none.
   */
  readonly freeReserveBytes?: number
  /** How long opening is tried again while another connection holds the file. Default 5 s. */
  readonly openTimeout?: Duration.DurationInput
}

/** @internal */
export const openTimeoutDefault: Duration.DurationInput = "5 seconds"

/** @internal */
export const engineOptions = (options: SqliteOptions, files?: OpenFiles): EngineOptions => ({
  filename: options.filename,
  ...(files === undefined ? {} : { files }),
  journalSizeLimitBytes: options.journalSizeLimitBytes ?? 64 * 1024 * 1024,
  freeReserveBytes: options.freeReserveBytes ?? 0
})

/**
 * Tries to open again while the file is busy: two connections that bring a new
 * file into WAL mode at once are in each other's way, and so is a backup.
 *
 * @internal
 */
export const retryBusyOpen =
  (options: SqliteOptions) =>
  <A, R>(open: Effect.Effect<A, EngineFault, R>): Effect.Effect<A, EngineFault, R> =>
    Effect.retry(open, {
      schedule: Schedule.intersect(
        Schedule.spaced("10 millis"),
        Schedule.recurUpTo(Duration.decode(options.openTimeout ?? openTimeoutDefault))
      ),
      while: ({ code }) => isBusyCode(code)
    })
