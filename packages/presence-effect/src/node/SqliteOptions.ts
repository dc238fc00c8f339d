/**
 * What both connection layers need to know about the file.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

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
   * Room to leave on the disk, in bytes: while less is free, every write but those `Write.withReserve` has marked is
   * refused with `DatabaseFull`, and goes on when a quarter more is. What is left lets the log be copied and emptied.
   * Free pages of the file stand for up to half of it. Default 0: none.
   */
  readonly freeReserveBytes?: number
  /**
   * Statements that prepare the connection that writes, one per entry, run each time it is opened: temporary tables and
   * triggers, which only this connection has and which leave nothing in the file. One that fails fails the opening.
   * Default: none.
   *
   * @since 0.3.0
   */
  readonly setup?: ReadonlyArray<string>
  /** How long opening is tried again while another connection holds the file. Default 5 s. */
  readonly openTimeout?: Duration.DurationInput
}
