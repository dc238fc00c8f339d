/**
 * Copies all rows of the server from a file to a PostgreSQL database, or back.
 *
 * The target must be empty, and gets everything in one transaction, which is committed after every table was read back
 * and compared. No server may use either of them meanwhile. The source is only read.
 */
import * as FileSystem from "node:fs"
import * as Path from "node:path"
import Sqlite from "better-sqlite3"
import { Effect, type Scope } from "effect"
import { ImportMismatch } from "../adoption/ImportError.ts"
import * as ImportedTable from "../adoption/ImportedTable.ts"
import * as RowDigest from "../adoption/RowDigest.ts"
import * as ServerSchema from "../adoption/ServerSchema.ts"
import type { MigrationError } from "../migration/MigrationError.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as MigrationGate from "../migration/MigrationGate.ts"
import * as PrismaMigrator from "../migration/PrismaMigrator.ts"
import * as InstanceLock from "../opening/InstanceLock.ts"
import { type PostgresAddress, serverName } from "../PostgresAddress.ts"
import type { PostgresFailure } from "../postgres/PostgresFailure.ts"
import * as PostgresMigrator from "../postgres/PostgresMigrator.ts"
import * as PostgresSession from "../postgres/PostgresSession.ts"
import * as QuotaTriggers from "../quota/QuotaTriggers.ts"
import * as CopiedTable from "./CopiedTable.ts"
import * as CopyEnd from "./CopyEnd.ts"
import { CopyRefused } from "./CopyError.ts"

/** A table that was copied. */
export interface TableReport {
  readonly table: string
  readonly rowCount: number
  /** Of all its rows, as they were read and as they were read back. */
  readonly checksum: string
}

export interface Report {
  readonly from: string
  readonly to: string
  readonly tables: ReadonlyArray<TableReport>
}

export interface Options {
  readonly file: string
  readonly address: PostgresAddress
  /** Called before each table. `share`: of the tables, from 0 to 1. */
  readonly onProgress?: (share: number) => void
}

/** Why nothing was copied. */
export type CopyFailure =
  | CopyRefused
  | ImportMismatch
  | MigrationError
  | MigrationGate.MigrationsMissing
  | PostgresFailure
  | PostgresMigrator.PostgresMigrationError
  | InstanceLock.InstanceRunning
  | InstanceLock.InstanceLockUnusable

const copyTable = (from: CopyEnd.CopyEnd, to: CopyEnd.CopyEnd, table: CopiedTable.CopiedTable) =>
  Effect.gen(function* () {
    const written = RowDigest.make()
    let rowCount = 0
    yield* from.read(table, (rows) => {
      for (const row of rows) written.add(row)
      rowCount += rows.length
      return to.write(table, rows)
    })
    const readBack = RowDigest.make()
    yield* to.read(table, (rows) =>
      Effect.sync(() => {
        for (const row of rows) readBack.add(row)
      })
    )
    if (readBack.hex() !== written.hex()) {
      return yield* new ImportMismatch({ table: table.name, written: written.hex(), readBack: readBack.hex() })
    }
    return { table: table.name, rowCount, checksum: written.hex() }
  })

const copyAll = (from: CopyEnd.CopyEnd, to: CopyEnd.CopyEnd, onProgress: Options["onProgress"]) =>
  Effect.gen(function* () {
    const migrations = yield* MigrationFolder.read(MigrationFolder.bundledDir)
    const schema = yield* ServerSchema.read(MigrationFolder.bundledDir, migrations)
    // Parents before their children, so that no row refers to one that is not there yet.
    const tables = ImportedTable.inOrder(schema).map(CopiedTable.of)
    for (const table of tables) {
      if (!(yield* to.isEmpty(table))) {
        return yield* new CopyRefused({ place: to.place, reason: `its table ${table.name} is not empty` })
      }
    }
    const reports: Array<TableReport> = []
    for (const [index, table] of tables.entries()) {
      onProgress?.(index / tables.length)
      reports.push(yield* copyTable(from, to, table))
    }
    return { from: from.place, to: to.place, tables: reports }
  })

const selectServers = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND application_name = '${serverName}' LIMIT 1`

const openPostgres = (address: PostgresAddress) =>
  Effect.gen(function* () {
    const session = yield* PostgresSession.open(address)
    const servers = yield* session.query(selectServers)
    if (servers.length > 0) {
      return yield* new CopyRefused({ place: address.place, reason: "a server uses it; stop the server first" })
    }
    return session
  })

const openFile = (file: string, options: Sqlite.Options): Effect.Effect<Sqlite.Database, CopyRefused, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.try({
      try: () => new Sqlite(file, { timeout: 5000, ...options }),
      catch: (cause) => new CopyRefused({ place: file, reason: String(cause) })
    }),
    (sqlite) => Effect.sync(() => sqlite.close())
  )

/** From a file, whose server must be stopped. The schema of the target is created when it is missing. */
export const toPostgres = ({ address, file, onProgress }: Options): Effect.Effect<Report, CopyFailure> =>
  Effect.gen(function* () {
    if (!FileSystem.existsSync(file)) return yield* new CopyRefused({ place: file, reason: "there is no such file" })
    yield* InstanceLock.hold(file)
    yield* MigrationGate.demandNone({ filename: file, migrationsDir: MigrationFolder.bundledDir })
    yield* PostgresMigrator.migrate(address, { isAllowed: true })
    const session = yield* openPostgres(address)
    const sqlite = yield* openFile(file, { readonly: true })
    sqlite.exec("BEGIN")
    return yield* PostgresSession.transaction(
      session,
      // The totals of accounts are rows like others, and right already.
      Effect.zipRight(
        session.query(QuotaTriggers.countsNothing("LOCAL")),
        copyAll(CopyEnd.ofFile(file, sqlite), CopyEnd.ofPostgres(session), onProgress)
      )
    )
  }).pipe(Effect.scoped)

const partialSuffix = ".copying"

const removePartial = (partial: string) =>
  Effect.sync(() => {
    for (const suffix of ["", "-journal", "-wal", "-shm"]) FileSystem.rmSync(`${partial}${suffix}`, { force: true })
  })

const copyInto = (session: PostgresSession.PostgresSession, partial: string, { file, onProgress }: Options) =>
  Effect.gen(function* () {
    yield* PrismaMigrator.migrate({ filename: partial, migrationsDir: MigrationFolder.bundledDir })
    const sqlite = yield* openFile(partial, { fileMustExist: true })
    sqlite.exec("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; BEGIN IMMEDIATE")
    const report = yield* PostgresSession.transaction(
      session,
      copyAll(CopyEnd.ofPostgres(session), CopyEnd.ofFile(file, sqlite), onProgress),
      "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    )
    yield* Effect.try({
      try: () => sqlite.exec("COMMIT"),
      catch: (cause) => new CopyRefused({ place: file, reason: String(cause) })
    })
    return report
  }).pipe(Effect.scoped)

/** Into a file that does not exist yet. It gets its name when everything was compared. */
export const toFile = (options: Options): Effect.Effect<Report, CopyFailure> =>
  Effect.gen(function* () {
    const { address, file } = options
    const missing = yield* PostgresMigrator.pending(address)
    if (missing.length > 0) {
      return yield* new MigrationGate.MigrationsMissing({ filename: address.place, names: missing })
    }
    if (FileSystem.existsSync(file))
      return yield* new CopyRefused({ place: file, reason: "it exists; name a new file" })
    if (!FileSystem.existsSync(Path.dirname(file))) {
      return yield* new CopyRefused({ place: file, reason: "its directory does not exist" })
    }
    yield* InstanceLock.hold(file)
    const session = yield* openPostgres(address)
    const partial = `${file}${partialSuffix}`
    yield* removePartial(partial)
    return yield* copyInto(session, partial, options).pipe(
      Effect.zipLeft(
        Effect.try({
          try: () => FileSystem.renameSync(partial, file),
          catch: (cause) => new CopyRefused({ place: file, reason: String(cause) })
        })
      ),
      Effect.ensuring(removePartial(partial))
    )
  }).pipe(Effect.scoped)
