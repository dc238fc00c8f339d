/**
 * A connection of its own to a database file, for work that happens before the server opens it.
 *
 * The driver waits for locks inside the call, so every wait stops the event loop; each is bounded.
 */
import * as FileSystem from "node:fs"
import Sqlite from "better-sqlite3"
import * as Effect from "effect/Effect"
import { DatabaseInvalid, DatabaseUnreachable, DatabaseUnwritable, MigrationBusy } from "./MigrationError.ts"

/** Which file, and how long one statement may wait for a foreign lock. */
export interface DatabaseFile {
  readonly filename: string
  readonly waitLimitMillis: number
}

/** An open file. */
export interface Connection extends DatabaseFile {
  readonly sqlite: Sqlite.Database
}

/** The faults of a file, whatever it is used for. */
export type DatabaseFault = MigrationBusy | DatabaseInvalid | DatabaseUnwritable | DatabaseUnreachable

/** The driver's or the file system's name for an error, such as `SQLITE_FULL` or `ENOENT`. */
export const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : "unknown"

/** The text of an error. */
export const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

/** Names an error of the file rather than of the statement; `undefined` for all others. */
export const faultOf = (file: DatabaseFile, cause: unknown): DatabaseFault | undefined => {
  const { filename, waitLimitMillis } = file
  const reason = reasonOf(cause)
  // Extended codes append to the primary one: SQLITE_BUSY_RECOVERY, SQLITE_READONLY_DIRECTORY.
  const code = /^SQLITE_[A-Z]+|^E[A-Z]+/.exec(codeOf(cause))?.[0]
  switch (code) {
    case "SQLITE_BUSY":
    case "SQLITE_LOCKED":
    case "SQLITE_PROTOCOL":
      return new MigrationBusy({ filename, waitLimitMillis })
    case "SQLITE_NOTADB":
    case "SQLITE_CORRUPT":
      return new DatabaseInvalid({ filename, reason })
    case "SQLITE_READONLY":
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new DatabaseUnwritable({ filename, reason })
    case "SQLITE_CANTOPEN":
      return new DatabaseUnreachable({ filename, reason })
    default:
      return undefined
  }
}

/** Runs a synchronous step on a file and maps what it throws. */
export const attempt = <A>(file: DatabaseFile, step: () => A): Effect.Effect<A, DatabaseFault> =>
  Effect.try({
    try: step,
    catch: (cause) => {
      const fault = faultOf(file, cause)
      if (fault !== undefined) return fault
      const { filename } = file
      // Our own statements are correct; a plain SQL error means that the file has an unexpected schema.
      return codeOf(cause) === "SQLITE_ERROR"
        ? new DatabaseInvalid({ filename, reason: reasonOf(cause) })
        : new DatabaseUnreachable({ filename, reason: reasonOf(cause) })
    }
  })

/**
 * Opens the file, runs `use`, and closes it again. An open transaction is rolled back when the connection closes.
 *
 * With `readonly` the bytes of the file stay as they are, even where SQLite would recover after a crash. Otherwise a
 * missing file is created, readable by its owner only.
 */
export const withConnection = <A, E, R>(
  file: DatabaseFile,
  mode: "readonly" | "writable",
  use: (connection: Connection) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | DatabaseFault, R> =>
  Effect.acquireUseRelease(
    attempt(file, (): Connection => {
      const readonly = mode === "readonly"
      if (!readonly && !FileSystem.existsSync(file.filename)) {
        // SQLite gives its journals the mode of the database, but creates the database itself readable for all users.
        FileSystem.closeSync(FileSystem.openSync(file.filename, "a", 0o600))
      }
      const sqlite = new Sqlite(file.filename, { readonly, fileMustExist: true, timeout: file.waitLimitMillis })
      return { ...file, sqlite }
    }),
    use,
    ({ sqlite }) => Effect.sync(() => sqlite.close())
  )
