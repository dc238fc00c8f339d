/**
 * Gives the free pages of a database back to the file system, while no server uses the file.
 *
 * A file that was created with incremental vacuum is shortened in steps, which needs little space. Any other file is
 * rewritten once, which needs twice the space of its rows. From then on it can be shortened in steps too, also by a
 * running server. Each step is a transaction: a process that is killed leaves the file intact.
 */
import { Duration, Effect, Schema } from "effect"
import * as FileSystem from "node:fs"
import path from "node:path"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import { DatabaseUnreachable } from "../migration/MigrationError.ts"
import * as InstanceLock from "./InstanceLock.ts"

/** The file keeps its size, or the size after the completed steps. No row is lost. */
export class CompactionFailed extends Schema.TaggedError<CompactionFailed>("light-server/CompactionFailed")(
  "CompactionFailed",
  { filename: Schema.String, reason: Schema.String }
) {
  override get message(): string {
    return `${this.filename} was not compacted: ${this.reason}`
  }
}

export type CompactionError =
  | CompactionFailed
  | DatabaseFile.DatabaseFault
  | InstanceLock.InstanceRunning
  | InstanceLock.InstanceLockUnusable

export interface Report {
  readonly databaseFile: string
  /** Of the database and its log. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Whether the whole file was rewritten, so that it can be shortened in steps from now on. */
  readonly isRewritten: boolean
}

export interface Options {
  readonly filename: string
  /** Free bytes where the file is. Asked of the system, unless given. */
  readonly freeBytes?: () => number
  /** Longest wait for a lock of another program, 5 seconds unless given. The event loop is blocked meanwhile. */
  readonly lockTimeout?: Duration.DurationInput
}

/** Pages of one step. Signals are handled after each step. */
const stepPages = 256

/** The log is checkpointed and truncated after this many steps, so that it needs little space. */
const stepsPerCheckpoint = 16

/** Values of `PRAGMA auto_vacuum`. */
const [none, incremental] = [0, 2]

const bytesOf = (filename: string): number =>
  [filename, `${filename}-wal`].reduce(
    (sum, file) => sum + (FileSystem.statSync(file, { throwIfNoEntry: false })?.size ?? 0),
    0
  )

const freeWhere = (filename: string): number => {
  const { bavail, bsize } = FileSystem.statfsSync(path.dirname(filename))
  return bavail * bsize
}

const attempt = <A>(
  connection: DatabaseFile.Connection,
  step: () => A
): Effect.Effect<A, CompactionFailed | DatabaseFile.DatabaseFault> =>
  Effect.try({
    try: step,
    catch: (cause) => {
      const { filename } = connection
      const fault = DatabaseFile.faultOf(connection, cause)
      return fault === undefined || fault._tag === "DatabaseUnwritable"
        ? new CompactionFailed({ filename, reason: DatabaseFile.reasonOf(cause) })
        : fault
    }
  })

const number = ({ sqlite }: DatabaseFile.Connection, pragma: string): number =>
  Number(sqlite.pragma(pragma, { simple: true }))

const emptyLog = (connection: DatabaseFile.Connection) =>
  attempt(connection, () => connection.sqlite.pragma("wal_checkpoint(TRUNCATE)"))

const shorten = (connection: DatabaseFile.Connection) =>
  Effect.gen(function* () {
    for (let step = 1; number(connection, "freelist_count") > 0; step++) {
      yield* attempt(connection, () => connection.sqlite.pragma(`incremental_vacuum(${stepPages})`))
      if (step % stepsPerCheckpoint === 0) yield* emptyLog(connection)
      // The driver blocks the thread that handles signals.
      yield* Effect.sleep(0)
    }
  })

const demandRoom = (connection: DatabaseFile.Connection, freeBytes: number) =>
  Effect.gen(function* () {
    const needed = yield* attempt(connection, () => {
      const pages = number(connection, "page_count") - number(connection, "freelist_count")
      return 2 * pages * number(connection, "page_size")
    })
    if (freeBytes >= needed) return
    return yield* new CompactionFailed({
      filename: connection.filename,
      reason:
        `it has to be written anew once, which needs ${needed} bytes on its disk, and ${freeBytes} are free; ` +
        "delete sessions or make room, and try again"
    })
  })

const rewrite = (connection: DatabaseFile.Connection, freeBytes: number) =>
  Effect.zipRight(
    demandRoom(connection, freeBytes),
    attempt(connection, () => {
      connection.sqlite.pragma("auto_vacuum = INCREMENTAL")
      connection.sqlite.exec("VACUUM")
    })
  )

/**
 * Compacts a file that exists and that no server uses.
 *
 * Fails with `InstanceRunning` when a server uses it, with `CompactionFailed` when the disk has too little room or the
 * file cannot be written, with `DatabaseUnreachable` when there is no file, with `DatabaseInvalid` when it is damaged,
 * and with `MigrationBusy` when another program holds it.
 */
export const compactFile = (options: Options): Effect.Effect<Report, CompactionError> =>
  Effect.gen(function* () {
    const { filename } = options
    const waitLimitMillis = Duration.toMillis(options.lockTimeout ?? "5 seconds")
    // The lock creates a file, which would be useless without a database.
    if (!FileSystem.existsSync(filename)) {
      return yield* new DatabaseUnreachable({ filename, reason: "there is no such file" })
    }
    yield* InstanceLock.hold(filename)
    const bytesBefore = bytesOf(filename)
    const isRewritten = yield* DatabaseFile.withConnection({ filename, waitLimitMillis }, "writable", (connection) =>
      Effect.gen(function* () {
        const mode = yield* attempt(connection, () => number(connection, "auto_vacuum"))
        if (mode === none) yield* rewrite(connection, (options.freeBytes ?? (() => freeWhere(filename)))())
        else if (mode !== incremental) {
          yield* attempt(connection, () => connection.sqlite.pragma("auto_vacuum = INCREMENTAL"))
        }
        yield* shorten(connection)
        yield* emptyLog(connection)
        return mode === none
      })
    )
    return { databaseFile: filename, bytesBefore, bytesAfter: bytesOf(filename), isRewritten }
  }).pipe(Effect.scoped)
