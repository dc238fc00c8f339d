/**
 * Serves a database of another happier light server in place.
 *
 * Missing parts are added in one transaction, after a copy was made; nothing that exists is changed, and the other
 * server's own record of migrations stays as it is. The additions are recorded in a table of our own.
 */
import * as FileSystem from "node:fs"
import type * as Sqlite from "better-sqlite3"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { AdoptionMissing, AdoptionRefused } from "./AdoptionError.ts"
import * as AdoptionPlan from "./AdoptionPlan.ts"
import * as DatabaseBackup from "../migration/DatabaseBackup.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import type { DatabaseFault } from "../migration/DatabaseFile.ts"
import { MigrationFailed, type BackupFailed, type MigrationFolderInvalid } from "../migration/MigrationError.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as MigrationHistory from "../migration/MigrationHistory.ts"
import { type MigrateOptions, transaction } from "../migration/PrismaMigrator.ts"
import * as Revocations from "./Revocations.ts"
import * as SchemaShape from "./SchemaShape.ts"
import { quoted } from "./SchemaShape.ts"
import * as ServerSchema from "./ServerSchema.ts"
import * as UnservedRows from "./UnservedRows.ts"

/** What was done to a file of another server. */
export interface AdoptionReport {
  /** The statements that were run; empty when the file had everything already. */
  readonly additions: ReadonlyArray<AdoptionPlan.Addition>
  /** The copy from before the first of them; none when nothing was written. */
  readonly backup: Option.Option<string>
}

/** Why a file of another server is not served. */
export type AdoptionError =
  | AdoptionRefused
  | AdoptionMissing
  | DatabaseFault
  | MigrationFolderInvalid
  | BackupFailed
  | MigrationFailed

/** The table in which a file keeps what was added to it. */
export const recordTable = "LightServerAdoption"

const createRecord = `CREATE TABLE IF NOT EXISTS "${recordTable}" (
    "id" INTEGER NOT NULL PRIMARY KEY,
    "schemaVersion" TEXT NOT NULL,
    "theirMigration" TEXT,
    "additions" TEXT NOT NULL,
    "adoptedAt" INTEGER NOT NULL
)`

const insertRecord = `INSERT INTO "${recordTable}" ("schemaVersion", "theirMigration", "additions", "adoptedAt")
  VALUES (?, ?, ?, ?)`

const selectRecord = `SELECT "schemaVersion" FROM "${recordTable}" ORDER BY "id" DESC LIMIT 1`

interface Build {
  readonly migrations: MigrationFolder.Migrations
  /** Made once, and only for a file that will be adopted. */
  readonly schema: Effect.Effect<ServerSchema.ServerSchema, MigrationFolderInvalid>
}

/** What a file of another server still needs. */
interface Need {
  readonly additions: ReadonlyArray<AdoptionPlan.Addition>
  readonly theirMigration: string | null
  readonly isRecorded: boolean
}

const isSatisfied = ({ additions, isRecorded }: Need) => isRecorded && additions.length === 0

/** Rows that would violate a unique index. Keys with an empty part are never equal. */
const countTwins = (sqlite: Sqlite.Database, { columns, table, where }: SchemaShape.Index): number => {
  const names = columns.map(quoted)
  const conditions = [...names.map((name) => `${name} IS NOT NULL`), ...(where === undefined ? [] : [`(${where})`])]
  const groups = `SELECT 1 FROM ${quoted(table)} WHERE ${conditions.join(" AND ")}
    GROUP BY ${names.join(", ")} HAVING count(*) > 1`
  return sqlite.prepare<[], number>(`SELECT count(*) FROM (${groups})`).pluck().get() ?? 0
}

/** Values that neither this server nor the functions of SQLite can read as a time. */
const countTimeless = (sqlite: Sqlite.Database, table: string, column: string): number => {
  const name = quoted(column)
  const count = `SELECT count(*) FROM ${quoted(table)} WHERE typeof(${name}) NOT IN ('integer', 'real', 'null')
    AND (typeof(${name}) <> 'text' OR ${name} NOT GLOB '[0-9][0-9][0-9][0-9]-*' OR unixepoch(${name}) IS NULL)`
  return sqlite.prepare<[], number>(count).pluck().get() ?? 0
}

/** Reasons that depend on the rows. Messages are not read: they are almost all of a file. */
const reasonsOfRows = (
  sqlite: Sqlite.Database,
  schema: ServerSchema.ServerSchema,
  file: SchemaShape.SchemaShape,
  uniqueIndexes: ReadonlyArray<SchemaShape.Index>
): ReadonlyArray<string> => [
  ...uniqueIndexes.flatMap((index) => {
    const hasAll = index.columns.every((name) =>
      file.tables.get(index.table)?.columns.some((column) => column.name === name)
    )
    const count = hasAll ? countTwins(sqlite, index) : 0
    return count === 0
      ? []
      : [`${index.table} has ${count} groups of rows with the same (${index.columns.join(", ")}), which must be unique`]
  }),
  ...ServerSchema.essentialTables.flatMap((table) =>
    (schema.tables.get(table)?.columns ?? [])
      .filter(({ type }) => type === "DATETIME")
      // A column that is missing has no times yet.
      .filter(({ name }) => file.tables.get(table)?.columns.some((column) => column.name === name) === true)
      .flatMap(({ name }) => {
        const count = countTimeless(sqlite, table, name)
        return count === 0 ? [] : [`${table}.${name} of ${count} rows is no time`]
      })
  )
]

const isForeign = ({ recorded, tables }: MigrationHistory.History, { migrations }: Build): boolean =>
  tables.includes(recordTable) ||
  (ServerSchema.essentialTables.every((table) => tables.includes(table)) &&
    !recorded.some((taken) => migrations.some(({ name }) => name === taken.name)))

const refusal = (filename: string, reasons: ReadonlyArray<string>): Effect.Effect<void, AdoptionRefused> =>
  Arr.isNonEmptyReadonlyArray(reasons) ? Effect.fail(new AdoptionRefused({ filename, reasons })) : Effect.void

/** `None` for a file that is not one of another happier light server: the migrations handle it. */
const inspect = (
  connection: DatabaseFile.Connection,
  build: Build
): Effect.Effect<Option.Option<Need>, DatabaseFault | MigrationFolderInvalid | AdoptionRefused> =>
  Effect.gen(function* () {
    const { filename, sqlite } = connection
    const history = yield* MigrationHistory.read(connection)
    if (!isForeign(history, build)) return Option.none()

    const schema = yield* build.schema
    const unfinished = history.recorded.filter(({ isFinished }) => !isFinished)
    yield* refusal(
      filename,
      unfinished.map(({ logs, name }) => `its migration ${name} is unfinished${logs === "" ? "" : `: ${logs}`}`)
    )
    const record = history.tables.includes(recordTable)
      ? yield* DatabaseFile.attempt(connection, () => sqlite.prepare<[], string>(selectRecord).pluck().get())
      : undefined
    if (record !== undefined && !build.migrations.some(({ name }) => name === record)) {
      yield* refusal(filename, [
        `a build with migration ${record} adopted it; the newest of this one is ${schema.version}`
      ])
    }

    const file = yield* DatabaseFile.attempt(connection, () => SchemaShape.read(sqlite))
    const plan = AdoptionPlan.make(schema, file)
    if (Either.isLeft(plan)) {
      yield* refusal(filename, plan.left)
      return Option.none()
    }
    const { additions, uniqueIndexes } = plan.right
    const revocations = yield* DatabaseFile.attempt(connection, () => Revocations.addition(sqlite, file))
    const need = {
      additions: revocations === undefined ? additions : [...additions, { adds: "revoked machines", sql: revocations }],
      theirMigration: history.recorded.at(-1)?.name ?? null,
      isRecorded: record === schema.version
    }
    if (!isSatisfied(need)) {
      const reasons = yield* DatabaseFile.attempt(connection, () => reasonsOfRows(sqlite, schema, file, uniqueIndexes))
      yield* refusal(filename, reasons)
    }
    return Option.some(need)
  })

const inspectFile = (
  file: DatabaseFile.DatabaseFile,
  build: Build
): Effect.Effect<Option.Option<Need>, DatabaseFault | MigrationFolderInvalid | AdoptionRefused> =>
  Effect.gen(function* () {
    const size = yield* DatabaseFile.attempt(
      file,
      () => FileSystem.statSync(file.filename, { throwIfNoEntry: false })?.size ?? 0
    )
    if (size === 0) return Option.none()
    const look = (mode: "readonly" | "writable") =>
      DatabaseFile.withConnection(file, mode, (connection) => inspect(connection, build))
    // A read-only connection cannot roll back what a killed process left half-written. A writable one can, and reads
    // again.
    return yield* Effect.catchTag(look("readonly"), "DatabaseUnwritable", () => look("writable"))
  })

const addAll = (
  connection: DatabaseFile.Connection,
  additions: ReadonlyArray<AdoptionPlan.Addition>
): Effect.Effect<void, DatabaseFault | MigrationFailed> =>
  Effect.forEach(
    additions,
    ({ adds, sql }) =>
      Effect.logDebug(`adding ${adds}`).pipe(
        Effect.annotateLogs("sql", sql),
        Effect.zipRight(
          Effect.try({
            try: () => connection.sqlite.exec(sql),
            catch: (cause) =>
              DatabaseFile.faultOf(connection, cause) ??
              new MigrationFailed({
                filename: connection.filename,
                migration: `adoption (${adds})`,
                code: DatabaseFile.codeOf(cause),
                reason: DatabaseFile.reasonOf(cause)
              })
          })
        )
      ),
    { discard: true }
  )

/** One warning per kind. If they cannot be counted, the file is served all the same. */
const warnOfUnserved = ({ sqlite }: DatabaseFile.Connection, schema: ServerSchema.ServerSchema) =>
  Effect.try(() =>
    UnservedRows.count(sqlite, SchemaShape.read(sqlite), new Set([recordTable, ...schema.tables.keys()]))
  ).pipe(
    Effect.flatMap(
      Effect.forEach(
        ({ kind, rowCount }) =>
          Effect.logWarning(`Not served from the adopted database: ${kind} (${rowCount})`).pipe(
            Effect.annotateLogs({ code: "ROWS_NOT_SERVED", kind, rows: rowCount })
          ),
        { discard: true }
      )
    ),
    Effect.ignore
  )

const adopt = (
  connection: DatabaseFile.Connection,
  build: Build,
  backupDir: string | undefined
): Effect.Effect<AdoptionReport, AdoptionError> =>
  Effect.gen(function* () {
    const { filename, sqlite } = connection
    const schema = yield* build.schema
    yield* DatabaseFile.attempt(connection, () => sqlite.pragma("synchronous = FULL"))
    const work = Effect.gen(function* () {
      // Another process may have done it while this one waited for the lock.
      const found = yield* inspect(connection, build)
      if (Option.isNone(found) || isSatisfied(found.value)) return { additions: [], backup: Option.none<string>() }
      const { additions, theirMigration } = found.value
      const backup = yield* DatabaseBackup.make(connection, "adoption", backupDir)
      const adoptedAtMillis = yield* Clock.currentTimeMillis
      yield* addAll(connection, additions).pipe(
        Effect.zipRight(
          DatabaseFile.attempt(connection, () => {
            sqlite.exec(createRecord)
            const statements = JSON.stringify(additions.map(({ sql }) => sql))
            sqlite.prepare(insertRecord).run(schema.version, theirMigration, statements, adoptedAtMillis)
          })
        ),
        // Rolled back, the file equals its copy. A server that is restarted again and again must not fill the disk.
        Effect.tapError(() => Effect.ignore(Effect.try(() => FileSystem.rmSync(backup))))
      )
      return { additions, backup: Option.some(backup) }
    })
    const report = yield* transaction(connection, work)
    if (Option.isSome(report.backup)) {
      yield* Effect.logInfo("database of a happier light server adopted").pipe(
        Effect.annotateLogs({
          filename,
          additions: report.additions.map(({ adds }) => adds).join(", "),
          backup: report.backup.value
        })
      )
      yield* warnOfUnserved(connection, schema)
    }
    return report
  })

const readBuild = (migrationsDir: string): Effect.Effect<Build, MigrationFolderInvalid> =>
  Effect.gen(function* () {
    const migrations = yield* MigrationFolder.read(migrationsDir)
    return { migrations, schema: yield* Effect.cached(ServerSchema.read(migrationsDir, migrations)) }
  })

/**
 * Prepares a file of another happier light server for serving, and returns what was done. For every other file it
 * returns `None` and writes nothing: those are handled by the migrations.
 *
 * The additions are in the file whole or not at all, whatever happens to the process. The file is copied first.
 * Running it again does nothing. With `isAllowed` false, a file that needs additions fails with `AdoptionMissing`.
 *
 * Fails with `AdoptionRefused` when the file cannot be served as it is, and with `DatabaseInvalid` or
 * `DatabaseUnreachable` when it cannot be used: it keeps its bytes.
 */
export const adoptIfForeign = (
  options: MigrateOptions & { readonly isAllowed?: boolean }
): Effect.Effect<Option.Option<AdoptionReport>, AdoptionError> =>
  Effect.gen(function* () {
    const { backupDir, filename } = options
    const build = yield* readBuild(options.migrationsDir)
    const file = { filename, waitLimitMillis: Duration.toMillis(options.lockTimeout ?? "5 seconds") }
    const found = yield* inspectFile(file, build)
    if (Option.isNone(found)) return Option.none()
    if (isSatisfied(found.value)) return Option.some({ additions: [], backup: Option.none() })
    if (options.isAllowed === false) {
      return yield* new AdoptionMissing({ filename, additions: found.value.additions.map(({ adds }) => adds) })
    }
    return Option.some(
      yield* DatabaseFile.withConnection(file, "writable", (connection) => adopt(connection, build, backupDir))
    )
  })
