/**
 * One server per database file.
 *
 * The lock is a write transaction on a small database beside the file, open for as long as the process lives. The
 * operating system releases it when the process ends, however it ends, so nothing depends on process ids, which may be
 * outdated or reused. The small database contains the holder, which other processes can read meanwhile.
 */
import Sqlite from "better-sqlite3"
import { Clock, Context, type Duration, Effect, Layer, Ref, Schedule, Schema, type Scope } from "effect"
import * as FileSystem from "node:fs"
import os from "node:os"
import * as DatabaseFile from "../migration/DatabaseFile.ts"

/** Another process serves the database, or imports into it. Nothing written. */
export class InstanceRunning extends Schema.TaggedError<InstanceRunning>("light-server/InstanceRunning")(
  "InstanceRunning",
  { filename: Schema.String, holder: Schema.String, advice: Schema.optional(Schema.String) }
) {
  override get message(): string {
    const { advice = "one server at a time, end that one first", filename, holder } = this
    return `${filename} is in use by ${holder}; ${advice}`
  }
}

/** The lock cannot be taken, for a reason other than another holder. Nothing written to the database. */
export class InstanceLockUnusable extends Schema.TaggedError<InstanceLockUnusable>("light-server/InstanceLockUnusable")(
  "InstanceLockUnusable",
  { path: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `${this.path}, the lock of the database, cannot be used: ${this.reason}`
  }
}

/**
 * Suffix of the lock of a file. The lock file stays when the server ends: removing it could remove the lock of the next
 * server.
 */
export const suffix = ".lock"

/** Two servers that start at the same moment block each other while they record the holder. */
const waitLimitMillis = 250

const Holder = Schema.Struct({ pid: Schema.Int, host: Schema.String, startedAt: Schema.String })

const isBusy = (cause: unknown): boolean => DatabaseFile.codeOf(cause).startsWith("SQLITE_BUSY")

/** The holder's own record. The holder may be between two of its steps. */
const describeHolder = (path: string): string => {
  try {
    const sqlite = new Sqlite(path, { readonly: true, timeout: waitLimitMillis })
    try {
      const row = sqlite.prepare("SELECT pid, host, startedAt FROM Holder").get()
      const { host, pid, startedAt } = Schema.decodeUnknownSync(Holder)(row)
      return `process ${pid} on ${host}, since ${startedAt}`
    } finally {
      sqlite.close()
    }
  } catch {
    return "another process"
  }
}

const take = (path: string, startedAt: string): Sqlite.Database => {
  // SQLite would create it readable for all users. An existing file is not opened: closing a file releases all locks
  // that the process has on it.
  if (!FileSystem.existsSync(path)) FileSystem.closeSync(FileSystem.openSync(path, "a", 0o600))
  const sqlite = new Sqlite(path, { timeout: waitLimitMillis })
  try {
    sqlite.exec("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS Holder (id INTEGER PRIMARY KEY, pid, host, startedAt)")
    sqlite.prepare("REPLACE INTO Holder VALUES (1, ?, ?, ?)").run(process.pid, os.hostname(), startedAt)
    sqlite.exec("COMMIT")
    // This transaction ends with the process. Unlike an exclusive lock it allows others to read.
    sqlite.exec("BEGIN IMMEDIATE")
    return sqlite
  } catch (cause) {
    sqlite.close()
    throw cause
  }
}

/** The file that a path refers to now. `undefined`: none. */
const identityOf = (path: string): string | undefined => {
  const stat = FileSystem.statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

export class InstanceLock extends Context.Tag("light-server/InstanceLock")<
  InstanceLock,
  {
    /**
     * Never succeeds. Fails with `InstanceRunning` when the lock file was removed and another server has locked the
     * database since.
     */
    readonly untilTaken: Effect.Effect<never, InstanceRunning>
  }
>() {}

/**
 * Takes the lock of `filename` until the scope closes. Only waits for another start at the same moment.
 *
 * A removed lock file keeps no other server out, so its path is checked every `watchInterval`, and the lock is taken
 * again.
 *
 * Fails with `InstanceRunning`, which names the holder, and with `InstanceLockUnusable` when the file system has no
 * locks or the path cannot be written.
 */
export const hold = (
  filename: string,
  watchInterval: Duration.DurationInput = "5 seconds"
): Effect.Effect<InstanceLock["Type"], InstanceRunning | InstanceLockUnusable, Scope.Scope> =>
  Effect.gen(function* () {
    const path = `${filename}${suffix}`
    const startedAt = new Date(yield* Clock.currentTimeMillis).toISOString()
    const taken = Effect.try({
      try: () => {
        const sqlite = take(path, startedAt)
        return { sqlite, identity: identityOf(path) }
      },
      catch: (cause) =>
        isBusy(cause)
          ? new InstanceRunning({ filename, holder: describeHolder(path) })
          : new InstanceLockUnusable({ path, reason: DatabaseFile.reasonOf(cause) })
    })
    const held = yield* Effect.acquireRelease(Effect.flatMap(taken, Ref.make), (ref) =>
      Effect.map(Ref.get(ref), ({ sqlite }) => sqlite.close())
    )

    /** Another server may have locked the path meanwhile: then this one must stop writing. */
    const retake = Effect.gen(function* () {
      yield* Effect.logError(`${path}, the lock of the database, was removed; it is taken anew`).pipe(
        Effect.annotateLogs("code", "LOCK_REMOVED")
      )
      const before = yield* Ref.get(held)
      yield* Ref.set(held, yield* taken)
      yield* Effect.sync(() => before.sqlite.close())
    })

    const watch = Effect.gen(function* () {
      const { identity } = yield* Ref.get(held)
      if (identityOf(path) !== identity) yield* retake
    }).pipe(
      // A path that cannot be written now is checked again later.
      Effect.catchTag("InstanceLockUnusable", (failure) =>
        Effect.logError(failure.message).pipe(Effect.annotateLogs("code", "LOCK_REMOVED"))
      )
    )

    return { untilTaken: Effect.zipRight(Effect.repeat(watch, Schedule.spaced(watchInterval)), Effect.never) }
  })

export const layer = (options: {
  readonly filename: string
}): Layer.Layer<InstanceLock, InstanceRunning | InstanceLockUnusable> =>
  Layer.scoped(InstanceLock, hold(options.filename))
