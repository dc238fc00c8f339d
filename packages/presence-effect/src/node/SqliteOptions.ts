/**
 * What both connection layers need to know about the file.
 *
 * @since 0.1.0
 */
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
}

/** @internal */
export const engineOptions = (options: SqliteOptions): EngineOptions => ({
  filename: options.filename,
  journalSizeLimitBytes: options.journalSizeLimitBytes ?? 64 * 1024 * 1024
})
