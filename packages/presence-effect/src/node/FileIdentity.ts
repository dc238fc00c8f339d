/**
 * Which file is under a path, and how large it is.
 *
 * SQLite in WAL mode goes on writing into a database file that was deleted or
 * replaced, and reports success. Device and inode show it.
 *
 * @example
 * import * as Effect from "effect/Effect"
 * import { strictEqual } from "node:assert/strict"
 * import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
 * import { tmpdir } from "node:os"
 * import { join } from "node:path"
 * import * as FileIdentity from "presence-effect/node/FileIdentity"
 *
 * const folder = mkdtempSync(join(tmpdir(), "example-"))
 * const filename = join(folder, "app.sqlite")
 * writeFileSync(filename, "")
 *
 * const first = await Effect.runPromise(FileIdentity.read(filename))
 * renameSync(filename, `${filename}.old`)
 * writeFileSync(filename, "")
 * const now = await Effect.runPromise(FileIdentity.read(filename))
 *
 * strictEqual(FileIdentity.moved(filename, first, now), filename)
 * rmSync(folder, { recursive: true })
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs/promises"
import { EngineFault, type FileIdentity } from "../writer/SqliteConnection.ts"
import { identityOfStats, movedPath } from "./internal/fileWatch.ts"

const statOf = (path: string) =>
  Effect.tryPromise(() => fs.stat(path, { bigint: true })).pipe(
    Effect.map((stats) => ({ identity: identityOfStats(stats), bytes: Number(stats.size) })),
    Effect.catchAll(({ error }) =>
      error instanceof Error && "code" in error && error.code === "ENOENT"
        ? Effect.succeed({ identity: undefined, bytes: 0 })
        : Effect.fail(
            new EngineFault({ reason: "System", code: "STAT", detail: `${path}: ${String(error)}`, phase: "queued" })
          )
    )
  )

/**
 * Reads the identity of a database file and of its log.
 *
 * **Errors**: `EngineFault` with code `STAT` when the path cannot be looked at.
 * A missing file is not an error.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read = (filename: string): Effect.Effect<FileIdentity, EngineFault> =>
  Effect.map(Effect.all([statOf(filename), statOf(`${filename}-wal`)]), ([database, log]) => ({
    database: database.identity,
    log: log.identity,
    databaseBytes: database.bytes,
    logBytes: log.bytes
  }))

/**
 * The path where another file is now than at `first`: of the database, or of its
 * log unless there was none. `undefined`: both are the ones that were there.
 *
 * @category getters
 * @since 0.2.0
 */
export const moved = (
  filename: string,
  first: Pick<FileIdentity, "database" | "log">,
  now: Pick<FileIdentity, "database" | "log">
): string | undefined => movedPath(filename, first, now)
