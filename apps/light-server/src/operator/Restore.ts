/** Puts a backup in the place of the database, while no server uses it. */
import { Clock, Effect } from "effect"
import fs from "node:fs"
import path from "node:path"
import type { AdoptionRefused } from "../adoption/AdoptionError.ts"
import * as SchemaUpdate from "../adoption/SchemaUpdate.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import type { MigrationError } from "../migration/MigrationError.ts"
import { secretFile } from "../opening/DataDirectory.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import { BackupUnsound, RestoreFailed } from "./BackupError.ts"
import * as BackupFolder from "./BackupFolder.ts"
import * as CopyCheck from "./CopyCheck.ts"
import * as DatabaseCopy from "./DatabaseCopy.ts"
import * as DurableFile from "./DurableFile.ts"

export interface Options extends Pick<DatabaseCopy.Options, "onProgress" | "freeBytes"> {
  /** A backup, or a directory of backups, whose newest is taken. */
  readonly from: string
  readonly databaseFile: string
  readonly dataDirectory: string
  readonly migrationsDir: string
  /** Whether the secret of the backup is put into the data directory. Off where the environment gives the secret. */
  readonly withSecret: boolean
}

export interface Report {
  readonly from: string
  readonly databaseFile: string
  readonly rowCount: number
  /** What was in the place of the database, with its log; empty when nothing was. */
  readonly replaced: ReadonlyArray<string>
  readonly secret: "restored" | "kept" | "absent"
  /** Migrations that the next start applies. */
  readonly pendingMigrations: ReadonlyArray<string>
}

export type RestoreError =
  | BackupUnsound
  | RestoreFailed
  | MigrationError
  | AdoptionRefused
  | InstanceLock.InstanceRunning
  | InstanceLock.InstanceLockUnusable

const attempt = <A>({ databaseFile }: Options, doing: string, run: () => A): Effect.Effect<A, RestoreFailed> =>
  Effect.try({
    try: run,
    catch: (cause) => new RestoreFailed({ databaseFile, reason: `cannot ${doing}: ${DatabaseFile.reasonOf(cause)}` })
  })

const find = (options: Options) =>
  Effect.gen(function* () {
    const from = path.resolve(options.from)
    const stat = fs.statSync(from, { throwIfNoEntry: false })
    if (stat === undefined) return yield* new BackupUnsound({ file: from, reason: "there is no such file" })
    if (!stat.isDirectory()) return from
    const [newest] = yield* attempt(options, "list the backups", () => BackupFolder.list(from, options.databaseFile))
    return newest ?? (yield* new BackupUnsound({ file: from, reason: "the directory holds no backup" }))
  })

const logsOf = (file: string) => [`${file}-wal`, `${file}-shm`]

/** The second name of a file. Where a file system has no links, a copy. */
const keepAs = (file: string, other: string) => {
  try {
    fs.linkSync(file, other)
  } catch {
    fs.copyFileSync(file, other, fs.constants.COPYFILE_EXCL)
    DurableFile.sync(other)
  }
}

/**
 * Gives the database that is there a second name, and takes its log away, so that the backup never lies beside the log
 * of another file. The log of a file that is whole is emptied first: whatever happens next, no row is lost.
 */
const setAside = (options: Options, stamp: string) =>
  Effect.gen(function* () {
    const { databaseFile } = options
    if (!fs.existsSync(databaseFile)) return []
    yield* Effect.ignore(
      DatabaseFile.withConnection({ filename: databaseFile, waitLimitMillis: 1000 }, "writable", (connection) =>
        DatabaseFile.attempt(connection, () => connection.sqlite.pragma("wal_checkpoint(TRUNCATE)"))
      )
    )
    return yield* attempt(options, "keep the database that is there", () => {
      const aside = `${databaseFile}.before-restore-${stamp}.bak`
      const kept = [aside]
      keepAs(databaseFile, aside)
      const [log = ""] = logsOf(databaseFile)
      // A log that could not be copied belongs to the file from before.
      if ((fs.statSync(log, { throwIfNoEntry: false })?.size ?? 0) > 0) {
        keepAs(log, `${aside}-wal`)
        kept.push(`${aside}-wal`)
      }
      DurableFile.sync(path.dirname(databaseFile))
      for (const file of logsOf(databaseFile)) fs.rmSync(file, { force: true })
      return kept
    })
  })

const restoreSecret = (options: Options, from: string, stamp: string) =>
  attempt(options, "restore the secret", (): Report["secret"] => {
    const source = BackupFolder.secretOf(from)
    const target = path.join(options.dataDirectory, secretFile)
    if (!options.withSecret || !fs.existsSync(source)) return fs.existsSync(target) ? "kept" : "absent"
    const secret = fs.readFileSync(source, "utf8")
    if (fs.existsSync(target)) {
      if (fs.readFileSync(target, "utf8").trim() === secret.trim()) return "kept"
      keepAs(target, `${target}.before-restore-${stamp}`)
    }
    DurableFile.write(target, secret)
    return "restored"
  })

/** A copy of the backup beside the database, verified, and of a schema that this build serves. */
const stage = (options: Options, from: string, partial: string) =>
  Effect.gen(function* () {
    yield* attempt(options, "make room for the copy", () => fs.rmSync(partial, { force: true }))
    const { rowCounts } = yield* Effect.mapError(
      DatabaseCopy.make(from, partial, { ...options, reserveBytes: 0 }),
      (reason) => new BackupUnsound({ file: from, reason })
    )
    const problem = yield* CopyCheck.run(partial, rowCounts)
    if (problem !== undefined) return yield* new BackupUnsound({ file: from, reason: problem })
    const pendingMigrations = yield* SchemaUpdate.pending({ filename: from, migrationsDir: options.migrationsDir })
    return { pendingMigrations, rowCount: Array.from(rowCounts.values()).reduce((sum, count) => sum + count, 0) }
  })

/**
 * Restores a backup. The database takes its place in one step, at the end: a process that is killed before leaves the
 * one that was there.
 *
 * Fails with `InstanceRunning` when a server uses the database, with `BackupUnsound` when the backup is damaged, with a
 * `MigrationError` or `AdoptionRefused` when this build cannot serve it, and with `RestoreFailed` when files cannot be
 * written.
 */
export const run = (options: Options): Effect.Effect<Report, RestoreError> =>
  Effect.gen(function* () {
    const { databaseFile } = options
    const from = yield* find(options)
    yield* attempt(options, "create the directory", () =>
      fs.mkdirSync(path.dirname(databaseFile), { recursive: true, mode: 0o700 })
    )
    yield* InstanceLock.hold(databaseFile)
    const stamp = new Date(yield* Clock.currentTimeMillis).toISOString().replace(/[-:.]/g, "")
    const partial = `${databaseFile}.restoring.partial`
    const removePartial = Effect.ignore(Effect.try(() => fs.rmSync(partial, { force: true })))
    const replace = Effect.gen(function* () {
      const staged = yield* stage(options, from, partial)
      // From here on it is not cut in two by a signal.
      return yield* Effect.uninterruptible(
        Effect.gen(function* () {
          const secret = yield* restoreSecret(options, from, stamp)
          const replaced = yield* setAside(options, stamp)
          yield* attempt(options, "put the backup in its place", () => DurableFile.publish(partial, databaseFile))
          return { from, databaseFile, replaced, secret, ...staged }
        })
      )
    })
    return yield* Effect.onError(replace, () => removePartial)
  }).pipe(Effect.scoped)
