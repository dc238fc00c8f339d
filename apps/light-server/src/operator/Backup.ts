/** Makes a backup: copied beside the running server, verified, and only then given its name. */
import { Clock, Effect, Schema, type Scope } from "effect"
import fs from "node:fs"
import path from "node:path"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import { secretFile } from "../opening/DataDirectory.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import { BackupImpossible } from "./BackupError.ts"
import * as BackupFolder from "./BackupFolder.ts"
import * as BackupRecord from "./BackupRecord.ts"
import * as CopyCheck from "./CopyCheck.ts"
import * as DatabaseCopy from "./DatabaseCopy.ts"
import * as DurableFile from "./DurableFile.ts"

export interface Options extends Pick<DatabaseCopy.Options, "onProgress" | "freeBytes"> {
  readonly databaseFile: string
  readonly dataDirectory: string
  /** Made with mode 0700 when it is missing. */
  readonly directory: string
  readonly keep: number
  /** Bytes that stay free on the disk of the server, if the backup goes there. */
  readonly reserveBytes: number
  /** Whether the secret in the data directory is copied too. Off where the environment gives the secret. */
  readonly withSecret: boolean
}

export const Report = Schema.Struct({
  file: Schema.String,
  /** The copy of the master secret; `null` when the secret was not copied. */
  secret: Schema.NullOr(Schema.String),
  bytes: Schema.Number,
  rowCount: Schema.Number,
  millis: Schema.Number,
  /** Older backups and migration copies that were removed. */
  removed: Schema.Array(Schema.String)
})

export interface Report extends Schema.Schema.Type<typeof Report> {}

const failWith = (databaseFile: string) => (reason: string) => new BackupImpossible({ databaseFile, reason })

const attempt = <A>(databaseFile: string, doing: string, run: () => A): Effect.Effect<A, BackupImpossible> =>
  Effect.try({
    try: run,
    catch: (cause) => failWith(databaseFile)(`cannot ${doing}: ${DatabaseFile.reasonOf(cause)}`)
  })

/** One backup of a database at a time. The lock ends with the process, however it ends. */
const hold = (databaseFile: string): Effect.Effect<void, BackupImpossible, Scope.Scope> =>
  InstanceLock.hold(`${databaseFile}.backup`).pipe(
    Effect.asVoid,
    Effect.mapError((failure) =>
      failWith(databaseFile)(
        failure._tag === "InstanceRunning" ? `${failure.holder} is making one right now` : failure.message
      )
    )
  )

const isSameDisk = (a: string, b: string): boolean => fs.statSync(a).dev === fs.statSync(b).dev

const copySecret = ({ databaseFile, dataDirectory, withSecret }: Options, file: string) => {
  const source = path.join(dataDirectory, secretFile)
  if (!withSecret || !fs.existsSync(source)) return Effect.succeed(null)
  const target = BackupFolder.secretOf(file)
  return attempt(databaseFile, "copy the secret", () => {
    DurableFile.write(target, fs.readFileSync(source, "utf8"))
    return target
  })
}

/** Leaves the verified copy under its partial name. */
const makeCopy = (options: Options, partial: string) =>
  Effect.gen(function* () {
    const { databaseFile, directory } = options
    const reserveBytes = yield* attempt(databaseFile, "look at the disk", () =>
      isSameDisk(path.dirname(databaseFile), directory) ? options.reserveBytes : 0
    )
    const copied = yield* Effect.mapError(
      DatabaseCopy.make(databaseFile, partial, { ...options, reserveBytes }),
      failWith(databaseFile)
    )
    const problem = yield* CopyCheck.run(partial, copied.rowCounts)
    if (problem !== undefined) return yield* failWith(databaseFile)(`the copy was refused: ${problem}`)
    return copied
  })

const makeWithin = (options: Options) =>
  Effect.gen(function* () {
    const { databaseFile, directory } = options
    const startedAt = yield* Clock.currentTimeMillis
    const remove = Effect.ignore(Effect.try(() => BackupFolder.removePartial(directory, databaseFile)))
    yield* attempt(databaseFile, "use the directory", () => {
      fs.mkdirSync(directory, { recursive: true, mode: 0o700 })
      BackupFolder.removePartial(directory, databaseFile)
    })
    const file = path.join(directory, BackupFolder.nameOf(databaseFile, startedAt))
    const partial = BackupFolder.partialOf(file)
    const copied = yield* Effect.onError(makeCopy(options, partial), () => remove)
    // Before the copy has its name: what has the name of a backup is complete.
    const secret = yield* Effect.onError(copySecret(options, file), () => remove)
    yield* Effect.onError(
      attempt(databaseFile, "name the copy", () => DurableFile.publish(partial, file)),
      () => remove
    )
    const removed = yield* attempt(databaseFile, "remove older copies", () => [
      ...BackupFolder.rotate(directory, databaseFile, options.keep),
      ...BackupFolder.pruneMigrationCopies(databaseFile)
    ])
    const endedAt = yield* Clock.currentTimeMillis
    const rowCount = Array.from(copied.rowCounts.values()).reduce((sum, count) => sum + count, 0)
    yield* BackupRecord.succeeded(options.dataDirectory, { file, atMillis: startedAt, bytes: copied.bytes })
    return { file, secret, bytes: copied.bytes, rowCount, millis: endedAt - startedAt, removed }
  })

/**
 * Makes a backup of the state at its beginning.
 *
 * Fails with `BackupImpossible`; then no file has the name of a backup, and older backups stay. An attempt that is
 * killed leaves a file that ends in `.partial`, which the next attempt removes.
 */
export const make = (options: Options): Effect.Effect<Report, BackupImpossible> =>
  Effect.gen(function* () {
    const { databaseFile } = options
    if (!fs.existsSync(databaseFile)) return yield* failWith(databaseFile)("there is no such file")
    yield* hold(databaseFile)
    return yield* makeWithin(options)
  }).pipe(
    Effect.scoped,
    Effect.tapError(({ reason }) =>
      Effect.flatMap(Clock.currentTimeMillis, (atMillis) =>
        BackupRecord.failed(options.dataDirectory, { reason, atMillis })
      )
    )
  )
