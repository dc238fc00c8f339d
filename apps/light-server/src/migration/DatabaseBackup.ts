/** The copy of a file that is made before a migration. */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as DatabaseFile from "./DatabaseFile.ts"
import { BackupFailed } from "./MigrationError.ts"

const sync = (path: string, flags: "r" | "r+"): void => {
  const descriptor = FileSystem.openSync(path, flags)
  try {
    FileSystem.fsyncSync(descriptor)
  } finally {
    FileSystem.closeSync(descriptor)
  }
}

const copy = (file: DatabaseFile.DatabaseFile, partial: string): Effect.Effect<void, unknown> =>
  DatabaseFile.withConnection(file, "readonly", ({ sqlite }) =>
    Effect.try(() => {
      // SQLite accepts an empty file as the target, so the copy is private from its first byte.
      FileSystem.closeSync(FileSystem.openSync(partial, "wx", 0o600))
      sqlite.prepare("VACUUM INTO ?").run(partial)
    })
  )

/**
 * Copies the file to `<file>.before-<migration>-<stamp>.bak`, mode 0600, and answers with the path.
 *
 * The copy is taken by a second connection while the caller holds the write lock, so it is the file exactly as the
 * migration finds it. It is written under a temporary name, flushed to the disk and only then renamed. The stamp is
 * UTC, with milliseconds.
 *
 * Fails with `BackupFailed`; then nothing is left under either name.
 */
export const make = (
  file: DatabaseFile.DatabaseFile,
  migration: string,
  backupDir: string = Path.dirname(file.filename)
): Effect.Effect<string, BackupFailed> =>
  Effect.gen(function* () {
    const stamp = DateTime.formatIso(yield* DateTime.now).replace(/[-:.]/g, "")
    const stem = Path.join(backupDir, `${Path.basename(file.filename)}.before-${migration}`)
    const backup = `${stem}-${stamp}.bak`
    // One name for all attempts: a copy left behind by a killed process is replaced, so copies do not accumulate. The
    // write lock keeps a second process from using the name at the same time.
    const partial = `${stem}.partial`
    const remove = Effect.try(() => FileSystem.rmSync(partial, { force: true }))
    return yield* remove.pipe(
      Effect.zipRight(copy(file, partial)),
      Effect.zipRight(
        Effect.try(() => {
          sync(partial, "r+")
          FileSystem.renameSync(partial, backup)
          sync(backupDir, "r")
          return backup
        })
      ),
      Effect.onError(() => Effect.ignore(remove)),
      Effect.mapError((cause) => {
        const reason = DatabaseFile.reasonOf(Cause.isUnknownException(cause) ? cause.error : cause)
        return new BackupFailed({ filename: file.filename, backup, reason })
      })
    )
  })
