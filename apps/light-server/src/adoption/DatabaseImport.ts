/**
 * Copies what a happier light server keeps into a new database of this one.
 *
 * The source is opened for reading only and read in one snapshot, so another server may go on writing to it. The target
 * is renamed to its final name after everything was written and read back: until then there is no database in the
 * directory.
 */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { challengeFile, secretFile } from "../opening/DataDirectory.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import type { DatabaseFault } from "../migration/DatabaseFile.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import * as ImportedTable from "./ImportedTable.ts"
import { ImportMismatch, ImportSourceRefused, ImportTargetRefused } from "./ImportError.ts"
import type { MigrationError } from "../migration/MigrationError.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as MigrationHistory from "../migration/MigrationHistory.ts"
import * as PrismaMigrator from "../migration/PrismaMigrator.ts"
import * as SchemaShape from "./SchemaShape.ts"
import * as ServerSchema from "./ServerSchema.ts"
import * as SharedColumn from "./SharedColumn.ts"

export interface ImportOptions {
  /** The database of the other server. */
  readonly source: string
  /** A directory that is missing, or holds nothing except the secret and the challenges seen. */
  readonly directory: string
  /** Name of the new database in it. */
  readonly databaseName: string
  readonly migrationsDir: string
  /** Longest wait of one statement for a lock of the source, 5 seconds unless given. */
  readonly lockTimeout?: Duration.DurationInput
}

/** The result of the import, table by table. */
export interface ImportReport {
  readonly databaseFile: string
  readonly tables: ReadonlyArray<ImportedTable.TableReport>
  /** Tables with rows that this server does not have. */
  readonly ignored: ReadonlyArray<ImportedTable.IgnoredTable>
}

/** Why nothing was imported. */
export type ImportError = ImportSourceRefused | ImportTargetRefused | ImportMismatch | MigrationError

/** Rows between two checks for signals. */
const rowsPerStep = 256

/** Suffix of the name of a database that is not complete. */
const partialSuffix = ".importing"

const targetAttempt = <A>(directory: string, run: () => A): Effect.Effect<A, ImportTargetRefused> =>
  Effect.try({
    try: run,
    catch: (cause) => new ImportTargetRefused({ directory, reason: DatabaseFile.reasonOf(cause) })
  })

const removePartial = (partial: string): void => {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) FileSystem.rmSync(`${partial}${suffix}`, { force: true })
}

/**
 * Creates the directory if it is missing, and refuses one that contains anything other than the files of an import, or
 * that another import or a server uses.
 */
const claim = (
  directory: string,
  databaseFile: string,
  partial: string
): Effect.Effect<void, ImportTargetRefused, Scope.Scope> =>
  Effect.gen(function* () {
    const present = yield* targetAttempt(directory, () => {
      FileSystem.mkdirSync(directory, { recursive: true, mode: 0o700 })
      return FileSystem.readdirSync(directory)
    })
    const known = new Set([secretFile, challengeFile, `${Path.basename(databaseFile)}${InstanceLock.suffix}`])
    const strange = present.filter((name) => !known.has(name) && !name.startsWith(Path.basename(partial)))
    if (strange.length > 0) {
      const shown = strange.slice(0, 3).join(", ")
      return yield* new ImportTargetRefused({
        directory,
        reason: `it is not empty (${shown}${strange.length > 3 ? " and more" : ""}); name a new one`
      })
    }
    yield* Effect.mapError(InstanceLock.hold(databaseFile), ({ message }) => {
      return new ImportTargetRefused({ directory, reason: message })
    })
    yield* targetAttempt(directory, () => removePartial(partial))
  })

const refuse = (filename: string, reasons: ReadonlyArray<string>): Effect.Effect<void, ImportSourceRefused> =>
  Arr.isNonEmptyReadonlyArray(reasons) ? Effect.fail(new ImportSourceRefused({ filename, reasons })) : Effect.void

/** Reads the shape of the source, inside the snapshot that the rows come from. */
const understand = (
  source: DatabaseFile.Connection,
  tables: ReadonlyArray<SchemaShape.Table>
): Effect.Effect<SchemaShape.SchemaShape, ImportSourceRefused | DatabaseFault> =>
  Effect.gen(function* () {
    const { recorded } = yield* MigrationHistory.read(source)
    const shape = yield* DatabaseFile.attempt(source, () => SchemaShape.read(source.sqlite))
    const isOfAServer = ServerSchema.essentialTables.some((name) => shape.tables.has(name))
    yield* refuse(
      source.filename,
      isOfAServer
        ? [
            ...recorded
              .filter(({ isFinished }) => !isFinished)
              .map(({ name }) => `its migration ${name} is unfinished`),
            ...ImportedTable.obstacles(tables, shape)
          ]
        : [`it has none of the tables ${ServerSchema.essentialTables.join(", ")}`]
    )
    return shape
  })

/** Yields to signals and timers: the driver works on the same thread. */
const breathe = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

const rethrow = (cause: unknown): never => {
  throw cause
}

/** Does the work in steps, and stops when it is interrupted. */
const finish = <W extends ImportedTable.Work>(
  source: DatabaseFile.Connection,
  target: DatabaseFile.Connection,
  begin: () => W
): Effect.Effect<W, DatabaseFault> => {
  const attempt = <A>(run: () => A) =>
    Effect.catchAll(Effect.try(run), ({ error }) =>
      error instanceof ImportedTable.TargetFault
        ? DatabaseFile.attempt(target, () => rethrow(error.cause))
        : DatabaseFile.attempt(source, () => rethrow(error))
    )
  return Effect.acquireUseRelease(
    attempt(begin),
    (work) =>
      Effect.gen(function* () {
        while (yield* attempt(() => work.step(rowsPerStep))) yield* breathe
        return work
      }),
    (work) => Effect.ignore(Effect.try(() => work.end()))
  )
}

const copyTable = (
  source: DatabaseFile.Connection,
  shape: SchemaShape.SchemaShape,
  target: DatabaseFile.Connection,
  table: SchemaShape.Table
): Effect.Effect<ImportedTable.TableReport, ImportMismatch | DatabaseFault> =>
  Effect.gen(function* () {
    const copy = yield* finish(source, target, () => ImportedTable.copy(source.sqlite, shape, target.sqlite, table))
    const report = copy.report()
    const reading = yield* finish(target, target, () => ImportedTable.readBack(shape, target.sqlite, table))
    const readBack = reading.checksum()
    if (readBack !== report.checksum) {
      return yield* new ImportMismatch({ table: table.name, written: report.checksum, readBack })
    }
    return report
  })

const copyAll = (
  source: DatabaseFile.Connection,
  target: DatabaseFile.Connection,
  tables: ReadonlyArray<SchemaShape.Table>
): Effect.Effect<Omit<ImportReport, "databaseFile">, ImportSourceRefused | ImportMismatch | DatabaseFault> =>
  Effect.gen(function* () {
    // One snapshot for all tables, so that child rows never refer to parents that were read too early.
    yield* DatabaseFile.attempt(source, () => source.sqlite.exec("BEGIN"))
    const shape = yield* understand(source, tables)
    yield* DatabaseFile.attempt(target, () =>
      target.sqlite.exec("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; BEGIN IMMEDIATE")
    )
    const reports = yield* Effect.forEach(tables, (table) => copyTable(source, shape, target, table))
    for (const shared of [SharedColumn.revocation, SharedColumn.archive]) {
      yield* DatabaseFile.attempt(target, () => SharedColumn.copy(source.sqlite, shape, target.sqlite, shared))
    }
    const ignored = yield* DatabaseFile.attempt(source, () => ImportedTable.ignored(source.sqlite, shape, tables))
    yield* DatabaseFile.attempt(target, () => target.sqlite.exec("COMMIT"))
    return { tables: reports, ignored }
  })

/** A hard link fails when the name exists; a rename would replace the existing file. */
const name = (partial: string, databaseFile: string): void => {
  try {
    FileSystem.linkSync(partial, databaseFile)
    FileSystem.rmSync(partial)
  } catch (cause) {
    // A file system without hard links. The lock of the directory keeps other importing processes away.
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EINVAL"].includes(DatabaseFile.codeOf(cause))) throw cause
    if (FileSystem.existsSync(databaseFile)) throw cause
    FileSystem.renameSync(partial, databaseFile)
  }
  const directory = FileSystem.openSync(Path.dirname(databaseFile), "r")
  try {
    FileSystem.fsyncSync(directory)
  } finally {
    FileSystem.closeSync(directory)
  }
}

/**
 * Imports `source` into a new database in `directory`. Rows that cannot be stored are left out and counted by reason.
 *
 * Fails with `ImportTargetRefused` when the directory holds something, with `ImportSourceRefused`, `DatabaseInvalid`,
 * `DatabaseUnreachable` or `MigrationBusy` when the source cannot be read or understood, and with `ImportMismatch`
 * when a table read back differs. Then, and when it is interrupted, no database is left in the directory.
 */
export const importFile = (options: ImportOptions): Effect.Effect<ImportReport, ImportError> =>
  Effect.gen(function* () {
    const { directory, migrationsDir, source } = options
    const waitLimitMillis = Duration.toMillis(options.lockTimeout ?? "5 seconds")
    const databaseFile = Path.join(directory, options.databaseName)
    const partial = `${databaseFile}${partialSuffix}`
    const migrations = yield* MigrationFolder.read(migrationsDir)
    const tables = ImportedTable.inOrder(yield* ServerSchema.read(migrationsDir, migrations))
    const sourceFile = { filename: source, waitLimitMillis }

    // The source first: nothing is created when it cannot be imported.
    yield* DatabaseFile.withConnection(sourceFile, "readonly", (connection) => understand(connection, tables))
    yield* claim(directory, databaseFile, partial)
    return yield* Effect.gen(function* () {
      yield* PrismaMigrator.migrate({ filename: partial, migrationsDir })
      const report = yield* DatabaseFile.withConnection(sourceFile, "readonly", (from) =>
        DatabaseFile.withConnection({ filename: partial, waitLimitMillis }, "writable", (to) =>
          copyAll(from, to, tables)
        )
      )
      yield* targetAttempt(directory, () => name(partial, databaseFile))
      return { databaseFile, ...report }
    }).pipe(Effect.onError(() => Effect.ignore(Effect.try(() => removePartial(partial)))))
  }).pipe(Effect.scoped)
