/**
 * What both connection layers need to know about the file.
 *
 * @example
 * import Database from "better-sqlite3"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, rmSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as SqliteInProcess from "presence-effect/node/SqliteInProcess"
 * import type { SqliteOptions } from "presence-effect/node/SqliteOptions"
 * import * as Lane from "presence-effect/writer/Lane"
 * import * as SqliteWriter from "presence-effect/writer/SqliteWriter"
 * import * as Write from "presence-effect/writer/Write"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * new Database(filename).exec("CREATE TABLE Machine (id TEXT PRIMARY KEY)").close()
 *
 * const options: SqliteOptions = {
 *   filename,
 *   // Only writes that `Write.withReserve` has marked use the last 50 MB of the disk.
 *   freeReserveBytes: 50_000_000,
 *   // A rule that is not in the schema of the file.
 *   setup: [
 *     `CREATE TEMP TRIGGER short_ids BEFORE INSERT ON main.Machine WHEN length(NEW.id) > 8
 *      BEGIN SELECT RAISE(ABORT, 'too long'); END`
 *   ]
 * }
 * const services = Layer.provide(SqliteWriter.layer(), SqliteInProcess.layer(options))
 * const insert = Effect.flatMap(SqliteWriter.SqliteWriter, (writer) =>
 *   writer.write(Lane.control, Write.statement("INSERT INTO Machine (id) VALUES ('much-too-long')"))
 * )
 * strictEqual((await Effect.runPromise(Effect.flip(Effect.provide(insert, services))))._tag, "WriteRejected")
 * rmSync(folder, { recursive: true })
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
