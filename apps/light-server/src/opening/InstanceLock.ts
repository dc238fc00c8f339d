/**
 * One server per database file.
 *
 * The lock is a write transaction on a small database beside the file, open for as long as the process lives. The
 * operating system gives it back when the process ends, however it ends, so nothing has to be guessed from ids of
 * processes that may be gone or reused. Who holds it stands in that small database, which others can read meanwhile.
 */
import Sqlite from "better-sqlite3"
import { Clock, Context, type Duration, Effect, Layer, Ref, Schedule, Schema, type Scope } from "effect"
import * as FileSystem from "node:fs"
import os from "node:os"
import * as DatabaseFile from "../migration/DatabaseFile.ts"

/** Another process serves the file, or imports into it. Nothing written. */
export class InstanceRunning extends Schema.TaggedError<InstanceRunning>("light-server/InstanceRunning")(
  "InstanceRunning",
  { filename: Schema.String, holder: Schema.String }
) {
  override get message(): string {
    return `${this.filename} is in use by ${this.holder}; one server at a time, end that one first`
  }
}

/** The lock cannot be taken, whoever else is there. Nothing written to the database. */
export class InstanceLockUnusable extends Schema.TaggedError<InstanceLockUnusable>("light-server/InstanceLockUnusable")(
  "InstanceLockUnusable",
  { path: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `${this.path}, the lock of the database, cannot be used: ${this.reason}`
  }
}

/**
 * Ends the name of the lock of a file. It stays when the server ends: whoever removed it could remove the lock of the
 * next.
 */
export const suffix = ".lock"

/** Two that start in the same moment are in each other's way while they write who they are. */
const waitLimitMillis = 250

const Holder = Schema.Struct({ pid: Schema.Int, host: Schema.String, startedAt: Schema.String })

const isBusy = (cause: unknown): boolean => DatabaseFile.codeOf(cause).startsWith("SQLITE_BUSY")

/** What the holder wrote about itself. It may be between two of its steps. */
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
  // SQLite creates for everybody to read. What is there is not opened: closing a file ends all locks that the process
  // has on it.
  if (!FileSystem.existsSync(path)) FileSystem.closeSync(FileSystem.openSync(path, "a", 0o600))
  const sqlite = new Sqlite(path, { timeout: waitLimitMillis })
  try {
    sqlite.exec("BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS Holder (id INTEGER PRIMARY KEY, pid, host, startedAt)")
    sqlite.prepare("REPLACE INTO Holder VALUES (1, ?, ?, ?)").run(process.pid, os.hostname(), startedAt)
    sqlite.exec("COMMIT")
    // This one ends with the process. Unlike an exclusive lock it lets others read.
    sqlite.exec("BEGIN IMMEDIATE")
    return sqlite
  } catch (cause) {
    sqlite.close()
    throw cause
  }
}

/** Which file a path names now. Nothing: none. */
const identityOf = (path: string): string | undefined => {
  const stat = FileSystem.statSync(path, { throwIfNoEntry: false, bigint: true })
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

export class InstanceLock extends Context.Tag("light-server/InstanceLock")<
  InstanceLock,
  {
    /**
     * Never succeeds. Fails with `InstanceRunning` when the file of the lock was removed and another server took the
     * database since.
     */
    readonly untilTaken: Effect.Effect<never, InstanceRunning>
  }
>() {}

/**
 * Takes the lock of `filename` until the scope closes. Waits for nobody but for another start in the same moment.
 *
 * A lock whose file was removed keeps no other server out, so its path is looked at every `watchInterval`, and the
 * lock is taken anew.
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

    /** Another server may have taken the path meanwhile: then this one must not write on. */
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
      // A path that cannot be written now is looked at again.
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
