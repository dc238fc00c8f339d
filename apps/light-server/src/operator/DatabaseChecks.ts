/** Checks of the database: whether it is whole, fits this build, and who else uses it. */
import { Clock, Effect, Schema } from "effect"
import fs from "node:fs"
import * as SchemaShape from "../adoption/SchemaShape.ts"
import * as SchemaUpdate from "../adoption/SchemaUpdate.ts"
import * as ServerSchema from "../adoption/ServerSchema.ts"
import * as UnservedRows from "../adoption/UnservedRows.ts"
import * as DatabaseFile from "../migration/DatabaseFile.ts"
import * as MigrationFolder from "../migration/MigrationFolder.ts"
import * as SqliteVersion from "../opening/SqliteVersion.ts"
import type { DoctorOptions } from "./DoctorOptions.ts"
import * as Finding from "./Finding.ts"
import * as LockHolders from "./LockHolders.ts"
import { command } from "../Version.ts"

const sqliteCheck = { code: "D201", name: "SQLite" }
const integrityCheck = { code: "D202", name: "integrity" }
const schemaCheck = { code: "D203", name: "schema" }
const writerCheck = { code: "D204", name: "foreign writer" }
const logCheck = { code: "D205", name: "log" }
const unservedCheck = { code: "D206", name: "rows that are not served" }
const clockCheck = { code: "D207", name: "clock" }

const patienceOf = ({ patienceMillis = 5000 }: DoctorOptions) => patienceMillis

/** `version`: of the linked library, unless given. */
export const sqlite = (version = SqliteVersion.linked()): Finding.Finding =>
  SqliteVersion.isAffected(version)
    ? Finding.problem(sqliteCheck, {
        found: `SQLite ${version}`,
        cause: "it can damage the database when its log starts anew during a checkpoint",
        fix: "install the better-sqlite3 that the lock file names: npm ci, or npm rebuild better-sqlite3"
      })
    : Finding.ok(sqliteCheck, `SQLite ${version}`)

const read = <A>(options: DoctorOptions, run: (connection: DatabaseFile.Connection) => A) =>
  DatabaseFile.withConnection(
    { filename: options.databaseFile, waitLimitMillis: patienceOf(options) },
    "readonly",
    (connection) => DatabaseFile.attempt(connection, () => run(connection))
  )

const restoreAdvice = `end the server, keep the file, and restore a backup: ${command} restore --from <backup>`

const integrity = (options: DoctorOptions) =>
  read(options, ({ sqlite }) => String(sqlite.pragma("quick_check(1)", { simple: true }))).pipe(
    Effect.map((verdict) =>
      verdict === "ok"
        ? Finding.ok(integrityCheck, "every page can be read")
        : Finding.problem(integrityCheck, { found: verdict, cause: "the file is damaged", fix: restoreAdvice })
    ),
    Effect.catchAll((failure) =>
      Effect.succeed(
        Finding.problem(integrityCheck, {
          found: failure.message,
          cause: failure._tag === "DatabaseInvalid" ? "the file is damaged, or not a database" : "it cannot be opened",
          fix: failure._tag === "DatabaseInvalid" ? restoreAdvice : "check its owner and mode, and the disk"
        })
      )
    )
  )

const schema = ({ databaseFile, migrationsDir, server }: DoctorOptions) =>
  SchemaUpdate.pending({ filename: databaseFile, migrationsDir }).pipe(
    Effect.map((pending) =>
      pending.length === 0
        ? Finding.ok(schemaCheck, "up to date")
        : Finding.warning(schemaCheck, {
            found: `${pending.length} migrations are missing: ${pending.join(", ")}`,
            cause: server === undefined ? "the next start applies them" : "the running server is an older build",
            fix: `make a backup, and run \`${command} migrate\` or start the server of this build`
          })
    ),
    Effect.catchAll((failure) =>
      Effect.succeed(
        Finding.problem(schemaCheck, {
          found: failure.message,
          cause: "this build cannot serve the file",
          fix: "use the build that wrote the file, or restore a backup that fits; see docs/operations.md"
        })
      )
    )
  )

/** Takes the write lock for a moment. */
const writer = (options: DoctorOptions) =>
  DatabaseFile.withConnection(
    { filename: options.databaseFile, waitLimitMillis: patienceOf(options) },
    "writable",
    (connection) => DatabaseFile.attempt(connection, () => connection.sqlite.exec("BEGIN IMMEDIATE; ROLLBACK"))
  ).pipe(
    Effect.as(Finding.ok(writerCheck, "the write lock is free")),
    Effect.catchAll((failure) => {
      if (failure._tag !== "MigrationBusy") return Effect.succeed(Finding.skipped(writerCheck, failure.message))
      const pids = (LockHolders.of(options.databaseFile)?.writers ?? []).filter((pid) => pid !== options.server?.pid)
      const holder = pids.length === 0 ? "another process" : LockHolders.describe(pids)
      return Effect.succeed(
        Finding.problem(writerCheck, {
          found: `${holder} has held the write lock for more than ${patienceOf(options)} ms`,
          cause: "nothing can be written meanwhile: registrations and messages are refused or wait",
          fix: "end that program, or its transaction; no other program may write the database of a running server"
        })
      )
    })
  )

const log = (options: DoctorOptions): Finding.Finding => {
  const { databaseFile, logLimitBytes, server } = options
  const bytes = fs.statSync(`${databaseFile}-wal`, { throwIfNoEntry: false })?.size ?? 0
  const text = `the log has ${(bytes / 1e6).toFixed(1)} MB`
  // One checkpoint interval of writes may lie above the limit.
  if (logLimitBytes < 0 || bytes <= 2 * logLimitBytes) return Finding.ok(logCheck, text)
  const readers = (LockHolders.of(databaseFile)?.readers ?? []).filter((pid) => pid !== server?.pid)
  return Finding.warning(logCheck, {
    found: readers.length === 0 ? text : `${text}, and ${LockHolders.describe(readers)} reads the database`,
    cause:
      readers.length === 0
        ? "it was not emptied: checkpoints are off, or a reader was open for long"
        : "a reader that keeps its transaction open keeps the log from being emptied",
    fix:
      readers.length === 0 ? "see sqlite_checkpoint_busy_total, and end programs that read for long" : "end that reader"
  })
}

const unserved = (options: DoctorOptions) =>
  Effect.gen(function* () {
    const migrations = yield* MigrationFolder.read(options.migrationsDir)
    const own = yield* ServerSchema.read(options.migrationsDir, migrations)
    const known = new Set(["LightServerAdoption", ...own.tables.keys()])
    const rows = yield* read(options, ({ sqlite }) => UnservedRows.count(sqlite, SchemaShape.read(sqlite), known))
    if (rows.length === 0) return Finding.ok(unservedCheck, "all rows are of kinds that this server serves")
    return Finding.warning(unservedCheck, {
      found: rows.map(({ kind, rowCount }) => `${rowCount} ${kind}`).join(", "),
      cause: "they come from another server; devices that look for them find nothing here",
      fix: "nothing has to be done: they stay in the file for the other server"
    })
  }).pipe(Effect.catchAll((failure) => Effect.succeed(Finding.skipped(unservedCheck, failure.message))))

/** Longer than clocks of one machine differ by themselves. */
const toleranceMillis = 120_000

const clock = (options: DoctorOptions) =>
  Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* read(options, ({ sqlite }) => sqlite.prepare("SELECT beatAt FROM ServerHeartbeat").all())
    const [row] = yield* Schema.decodeUnknown(Schema.Array(Schema.Struct({ beatAt: Schema.Number })))(rows)
    const aheadMillis = (row?.beatAt ?? 0) - now
    if (aheadMillis <= toleranceMillis) return Finding.ok(clockCheck, `it is ${new Date(now).toISOString()}`)
    return Finding.problem(clockCheck, {
      found: `the server wrote at a time that is ${Math.round(aheadMillis / 1000)} s in the future`,
      cause: "the clock was set back, or was ahead: rows look more recent than they are, and new tokens not valid yet",
      fix: "let the system keep its clock: timedatectl set-ntp true"
    })
  }).pipe(Effect.catchAll((failure) => Effect.succeed(Finding.skipped(clockCheck, failure.message))))

const ofFile = [integrity, schema, writer, (options: DoctorOptions) => Effect.sync(() => log(options)), unserved, clock]

/** Without a database only the library is checked: the first start makes one. */
export const run = (options: DoctorOptions): Effect.Effect<ReadonlyArray<Finding.Finding>> =>
  fs.existsSync(options.databaseFile)
    ? Effect.map(
        Effect.forEach(ofFile, (check) => check(options)),
        (findings) => [sqlite(), ...findings]
      )
    : Effect.sync(() => [sqlite(), Finding.skipped(integrityCheck, `${options.databaseFile} does not exist yet`)])
