/**
 * Brings a database file to the newest migration, before anything else opens it.
 *
 * Prisma generates the schema and the migrations; no part of Prisma runs here. Applied migrations are recorded the way
 * Prisma records them.
 */
import * as FileSystem from "node:fs"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as DatabaseBackup from "./DatabaseBackup.ts"
import * as DatabaseFile from "./DatabaseFile.ts"
import type { DatabaseFault } from "./DatabaseFile.ts"
import type { MigrationError } from "./MigrationError.ts"
import { ForeignKeyBroken, MigrationFailed } from "./MigrationError.ts"
import * as MigrationFolder from "./MigrationFolder.ts"
import * as MigrationHistory from "./MigrationHistory.ts"
import type { MigrationRefusal } from "./MigrationRefusal.ts"

/** What to migrate, and with what. */
export interface MigrateOptions {
  /** The database file. It may be missing, its directory may not. */
  readonly filename: string
  /** The folder with one folder per migration; `MigrationFolder.bundledDir` is that of this build. */
  readonly migrationsDir: string
  /** Where the backup goes; beside the file unless given. Must exist. */
  readonly backupDir?: string
  /** Longest wait of one statement for a foreign lock, 5 seconds unless given. The event loop is blocked meanwhile. */
  readonly lockTimeout?: Duration.DurationInput
}

/** What was done. */
export interface MigrationReport {
  /** Names, oldest first; empty when the file was at the newest migration already. */
  readonly applied: ReadonlyArray<string>
  /** The copy from before the first of them; `undefined` when the file had no rows. */
  readonly backup: Option.Option<string>
}

interface Plan {
  readonly connection: DatabaseFile.Connection
  readonly migrations: MigrationFolder.Migrations
  readonly backupDir: string | undefined
}

interface ForeignKeyCheck {
  readonly violationCount: number
  readonly table: string
  readonly rowid: number | null
  readonly parent: string
}

const checkForeignKeys = `SELECT count(*) AS violationCount, "table", "rowid", "parent"
  FROM pragma_foreign_key_check`

const pending = ({ connection, migrations }: Pick<Plan, "connection" | "migrations">) =>
  Effect.flatMap(MigrationHistory.read(connection), (history) => MigrationHistory.pending(history, migrations))

/**
 * Whether a writable connection is needed, determined without one: a file that is refused, or needs nothing, keeps its
 * bytes.
 */
const needsWriting = (
  file: DatabaseFile.DatabaseFile,
  migrations: MigrationFolder.Migrations
): Effect.Effect<boolean, DatabaseFault | MigrationRefusal> =>
  Effect.gen(function* () {
    const size = yield* DatabaseFile.attempt(
      file,
      () => FileSystem.statSync(file.filename, { throwIfNoEntry: false })?.size ?? 0
    )
    if (size === 0) return true
    return yield* DatabaseFile.withConnection(file, "readonly", (connection) =>
      pending({ connection, migrations })
    ).pipe(
      Effect.map((missing) => missing.length > 0),
      // A read-only connection cannot roll back what a killed process left half-written. A writable one can, and reads
      // again.
      Effect.catchTag("DatabaseUnwritable", () => Effect.succeed(true))
    )
  })

/**
 * Runs `body` in one transaction that holds the write lock from its beginning.
 *
 * Foreign keys are off meanwhile: Prisma redefines a table by dropping it, and with foreign keys on that deletes the
 * rows of cascading children. The pragma does nothing inside a transaction, so it comes first.
 */
export const transaction = <A, E>(
  connection: DatabaseFile.Connection,
  body: Effect.Effect<A, E>
): Effect.Effect<A, E | DatabaseFault> => {
  const { sqlite } = connection
  return Effect.acquireUseRelease(
    DatabaseFile.attempt(connection, () => sqlite.exec("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE")),
    () => Effect.tap(body, () => DatabaseFile.attempt(connection, () => sqlite.exec("COMMIT"))),
    () =>
      Effect.ignore(
        DatabaseFile.attempt(connection, () => {
          if (sqlite.inTransaction) sqlite.exec("ROLLBACK")
          sqlite.exec("PRAGMA foreign_keys = ON")
        })
      )
  )
}

const hasRows = (connection: DatabaseFile.Connection): Effect.Effect<boolean, DatabaseFault> =>
  Effect.flatMap(MigrationHistory.read(connection), ({ tables }) =>
    DatabaseFile.attempt(connection, () =>
      tables.some((table) => {
        const select = `SELECT 1 FROM "${table.replaceAll(`"`, `""`)}" LIMIT 1`
        return connection.sqlite.prepare(select).get() !== undefined
      })
    )
  )

/** Runs the statements of one migration and checks the result, in the transaction of the caller. */
const apply = (
  connection: DatabaseFile.Connection,
  migration: MigrationFolder.Migration
): Effect.Effect<void, DatabaseFault | MigrationFailed | ForeignKeyBroken> =>
  Effect.gen(function* () {
    const { filename, sqlite } = connection
    const step = <A>(run: () => A) =>
      Effect.try({
        try: run,
        catch: (cause) =>
          DatabaseFile.faultOf(connection, cause) ??
          new MigrationFailed({
            filename,
            migration: migration.name,
            code: DatabaseFile.codeOf(cause),
            reason: DatabaseFile.reasonOf(cause)
          })
      })
    const check = yield* step(() => {
      sqlite.exec(migration.sql)
      if (!sqlite.inTransaction) throw new Error("the migration ended its own transaction")
      return sqlite.prepare<[], ForeignKeyCheck>(checkForeignKeys).get()
    })
    if (check !== undefined && check.violationCount > 0) {
      yield* new ForeignKeyBroken({ filename, migration: migration.name, ...check })
    }
  })

/**
 * Applies the oldest pending migration, if there is one. The pending migrations are read under the write lock, so a
 * migration that another process applied while this one waited is not applied twice.
 */
const applyNext = (
  { backupDir, connection, migrations }: Plan,
  isFirst: boolean
): Effect.Effect<Option.Option<{ readonly name: string; readonly backup: Option.Option<string> }>, MigrationError> =>
  transaction(
    connection,
    Effect.gen(function* () {
      const [next] = yield* pending({ connection, migrations })
      if (next === undefined) return Option.none()
      const startedAtMillis = yield* Clock.currentTimeMillis
      const id = yield* DatabaseFile.attempt(connection, () =>
        MigrationHistory.begin(connection.sqlite, next, startedAtMillis)
      )
      const backup =
        isFirst && (yield* hasRows(connection))
          ? Option.some(yield* DatabaseBackup.make(connection, next.name, backupDir))
          : Option.none<string>()
      yield* apply(connection, next).pipe(
        // Rolled back, the file equals its copy. A server that is restarted again and again must not fill the disk.
        Effect.tapError(() => Effect.ignore(Effect.try(() => Option.map(backup, (path) => FileSystem.rmSync(path)))))
      )
      const finishedAtMillis = yield* Clock.currentTimeMillis
      yield* DatabaseFile.attempt(connection, () => MigrationHistory.finish(connection.sqlite, id, finishedAtMillis))
      return Option.some({ name: next.name, backup })
    })
  )

const applyAll = (plan: Plan): Effect.Effect<MigrationReport, MigrationError> =>
  Effect.gen(function* () {
    // The driver is built to sync less often in WAL mode once a file exists; a migration is worth the wait.
    yield* DatabaseFile.attempt(plan.connection, () => plan.connection.sqlite.pragma("synchronous = FULL"))
    // Of effect in a new file only: it can give free pages back while it is used.
    yield* DatabaseFile.attempt(plan.connection, () => plan.connection.sqlite.pragma("auto_vacuum = INCREMENTAL"))
    const applied: Array<string> = []
    let backup = Option.none<string>()
    for (;;) {
      const done = yield* applyNext(plan, applied.length === 0)
      if (Option.isNone(done)) return { applied, backup }
      applied.push(done.value.name)
      backup = Option.orElse(backup, () => done.value.backup)
      yield* Effect.logInfo("migration applied").pipe(
        Effect.annotateLogs({
          migration: done.value.name,
          filename: plan.connection.filename,
          backup: Option.getOrElse(backup, () => "none")
        })
      )
    }
  })

/**
 * Brings `filename` to the newest migration of `migrationsDir`. Run it before any client opens the file.
 *
 * Each migration is one transaction together with its record: it is in the file whole, or not at all, whatever happens
 * to the process. A file with rows is copied first. Running it again does nothing.
 *
 * Two processes at once take turns; the second finds the work done, or fails with `MigrationBusy` after `lockTimeout`.
 *
 * Fails with a `MigrationRefusal` when file and build do not fit together, and with `DatabaseInvalid`,
 * `DatabaseUnreachable` or `MigrationFolderInvalid` when either cannot be used: the file keeps its bytes. Fails with
 * `BackupFailed`, `DatabaseUnwritable`, `MigrationFailed` or `ForeignKeyBroken` when a migration cannot be taken: it is
 * rolled back, those before it stay.
 */
export const migrate = (options: MigrateOptions): Effect.Effect<MigrationReport, MigrationError> =>
  Effect.gen(function* () {
    const { backupDir, filename } = options
    const migrations = yield* MigrationFolder.read(options.migrationsDir)
    const file = { filename, waitLimitMillis: Duration.toMillis(options.lockTimeout ?? "5 seconds") }
    if (!(yield* needsWriting(file, migrations))) return { applied: [], backup: Option.none() }
    return yield* DatabaseFile.withConnection(file, "writable", (connection) =>
      applyAll({ connection, migrations, backupDir })
    )
  })
